//go:build ops

package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"portfolio/test/servertest"
)

// Errors of clients. Every other error is a wrong response.
var (
	errUnavailable = errors.New("503 UNAVAILABLE")
	errNoResponse  = errors.New("no response")
)

// client sends requests to a server or a balancer.
type client struct {
	base, key string
	http      *http.Client
}

// slowest bounds the wait for a response: REQUEST_TIMEOUT and what a busy machine
// adds. A response must never take longer, whatever happens to the server's
// database.
const slowest = 20 * time.Second

// clients returns a client for each server.
func clients(key string, servers ...*server) (list []*client) {
	for _, s := range servers {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 64
		list = append(list, &client{"http://" + s.address, key, &http.Client{Transport: transport}})
	}
	return list
}

// send sends a request and returns status and body.
func (c *client) send(method, path, contentType string, content []byte, limit time.Duration) (int, []byte, error) {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, method, c.base+path, bytes.NewReader(content))
	if err != nil {
		return 0, nil, err
	}
	request.Header.Set("Authorization", "Bearer "+c.key)
	if content == nil {
		request.Header.Set("Authorization", "Token "+c.key)
	} else {
		request.Header.Set("Content-Type", contentType)
	}
	response, err := c.http.Do(request)
	if err != nil {
		return 0, nil, noResponse(ctx, err)
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, nil, noResponse(ctx, err)
	}
	return response.StatusCode, body, nil
}

func noResponse(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("the response took too long: %w", err)
	}
	return fmt.Errorf("%w: %w", errNoResponse, err)
}

// graphql runs an operation and decodes its data.
func (c *client) graphql(query string, variables map[string]any, data any) error {
	content, err := json.Marshal(map[string]any{"query": query, "variables": variables})
	if err != nil {
		return err
	}
	status, body, err := c.send(http.MethodPost, "/graphql", "application/json", content, slowest)
	if err != nil {
		return err
	}
	return decode(status, body, data)
}

// upload uploads an image and returns its ID.
func (c *client) upload(image []byte) (id string, err error) {
	form, mediaType := servertest.UploadForm(servertest.UploadMutation, image)
	status, body, err := c.send(http.MethodPost, "/graphql", mediaType, form.Bytes(), time.Minute)
	if err != nil {
		return "", err
	}
	var data struct {
		UploadImage struct{ Image struct{ ID string } }
	}
	err = decode(status, body, &data)
	return data.UploadImage.Image.ID, err
}

// decode decodes a response of the GraphQL API.
func decode(status int, body []byte, data any) error {
	var response struct {
		Data   json.RawMessage
		Errors []struct {
			Extensions struct{ Code, Outcome string }
		}
	}
	if err := json.Unmarshal(body, &response); err != nil {
		return fmt.Errorf("%d %s: %w", status, body, err)
	}
	uncertain := len(response.Errors) > 0 && response.Errors[0].Extensions.Outcome == "unknown" // has another status, lest clients try again
	if status == http.StatusServiceUnavailable && len(response.Errors) > 0 || uncertain {
		for _, failed := range response.Errors {
			if failed.Extensions.Code != "UNAVAILABLE" {
				return fmt.Errorf("%d %s", status, body)
			}
		}
		return fmt.Errorf("%w: %s", errUnavailable, body)
	}
	if status != http.StatusOK || len(response.Errors) > 0 {
		return fmt.Errorf("%d %s", status, body)
	}
	return json.Unmarshal(response.Data, data)
}

const restUnavailable = `{"detail":"Service temporarily unavailable, try again later."}`

// rest requests a link from the legacy endpoint. A link that does not exist has no
// body.
func (c *client) rest(portfolio int, link string) (body []byte, err error) {
	status, body, err := c.send(http.MethodGet, fmt.Sprintf("/api/portfolios/%d/links/%s", portfolio, link), "", nil, slowest)
	switch {
	case err != nil:
		return nil, err
	case status == http.StatusOK:
		return body, nil
	case status == http.StatusNotFound:
		return nil, nil
	case status == http.StatusServiceUnavailable && string(body) == restUnavailable:
		return nil, fmt.Errorf("%w: %s", errUnavailable, body)
	}
	return nil, fmt.Errorf("%d %s", status, body)
}
