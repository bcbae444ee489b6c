package legacyimport

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/time/rate"
)

const (
	workers      = 8 // concurrent requests to the legacy system
	maxTries     = 7 // tries of a request while the system does not respond: about six seconds
	maxSlowTries = 2 // tries of a request that fails or takes too long
	firstPause   = 100 * time.Millisecond
	maxPause     = time.Minute // longest pause that Retry-After can request
	maxRedirects = 5
	maxDocument  = 1 << 20   // bytes of the response for a link
	maxHeader    = 64 << 10  // bytes
	maxInMemory  = 256 << 10 // bytes of a file that is not written to a temporary file first
)

// ServerURL is the base URL of a server, such as https://example.org. The zero value
// is no URL.
type ServerURL struct{ base *url.URL }

// UnmarshalText implements encoding.TextUnmarshaler.
func (u *ServerURL) UnmarshalText(text []byte) error {
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "":
		return errors.New("not an absolute http or https URL")
	case parsed.User != nil:
		return errors.New("must not contain a user or a password")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return errors.New("must not have a query or a fragment")
	}
	parsed.Path = strings.TrimSuffix(parsed.Path, "/")
	u.base = parsed
	return nil
}

// IsZero reports whether there is no URL.
func (u ServerURL) IsZero() bool { return u.base == nil }

// String returns the URL without a trailing slash.
func (u ServerURL) String() string {
	if u.base == nil {
		return ""
	}
	return u.base.String()
}

// join returns the URL of a path of the server.
func (u ServerURL) join(path string) ServerURL {
	base := *u.base
	base.Path, base.RawPath = base.Path+path, ""
	return ServerURL{&base}
}

// stopError ends a run, because the legacy system cannot be used.
type stopError struct{ reason string }

func (e *stopError) Error() string { return e.reason }

// response is a complete response.
type response struct {
	status int
	header http.Header
	body   []byte

	failure string // why the request failed
}

// contentType returns the media type without its parameters.
func contentType(header http.Header) string {
	kind, _, _ := strings.Cut(header.Get("Content-Type"), ";")
	return strings.ToLower(strings.TrimSpace(kind))
}

// client sends requests to one origin.
type client struct {
	http    *http.Client
	limiter *rate.Limiter // shared by all clients of a run
	timeout time.Duration // of a response, its body included
}

// errRedirect is the error of a redirect that the client does not follow.
var errRedirect = errors.New("redirects")

// newLimiter returns a limiter of requests per second. 0 is no limit.
func newLimiter(perSecond float64) *rate.Limiter {
	if perSecond > 0 {
		return rate.NewLimiter(rate.Limit(perSecond), 1)
	}
	return rate.NewLimiter(rate.Inf, 1)
}

// newClient returns a client that follows redirects within an origin only.
func newClient(origin *url.URL, limiter *rate.Limiter, timeout time.Duration) *client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DisableCompression = true // a small response could expand into a large response
	transport.MaxIdleConnsPerHost = workers
	transport.MaxResponseHeaderBytes = maxHeader
	return &client{limiter: limiter, timeout: timeout, http: &http.Client{
		Transport: transport,
		CheckRedirect: func(next *http.Request, via []*http.Request) error {
			if next.URL.Scheme != origin.Scheme || next.URL.Host != origin.Host {
				return fmt.Errorf("%w to another server, %s://%s", errRedirect, next.URL.Scheme, next.URL.Host)
			}
			if len(via) > maxRedirects {
				return fmt.Errorf("%w more than %d times", errRedirect, maxRedirects)
			}
			return nil
		},
	}}
}

func (c *client) close() { c.http.CloseIdleConnections() }

// get sends a request and passes the response to handle. It retries while the system does
// not respond. The error is a *stopError if the system never responds.
func (c *client) get(ctx context.Context, target string, header http.Header, handle func(*http.Response) error) error {
	for try := 1; ; try++ {
		if err := c.limiter.Wait(ctx); err != nil {
			return err
		}
		var wait time.Duration // pause that Retry-After requests
		err := c.try(ctx, target, header, func(r *http.Response) error {
			if retryLater(r.StatusCode) {
				wait = retryAfter(r.Header)
				return &statusError{r.StatusCode}
			}
			return handle(r)
		})
		if err == nil || ctx.Err() != nil {
			return err
		}
		limit := maxTriesAfter(err)
		if try >= limit {
			if limit == maxTries && isTransport(err) {
				return &stopError{"the legacy system does not respond: " + withoutURL(err).Error()}
			}
			return withoutURL(err)
		}
		select {
		case <-time.After(max(wait, firstPause<<(try-1))):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// maxTriesAfter returns how many times get sends a request that fails with err.
func maxTriesAfter(err error) int {
	statusErr, isStatus := errors.AsType[*statusError](err)
	switch {
	case errors.Is(err, errRedirect):
		return 1
	case errors.Is(err, context.DeadlineExceeded), isStatus && statusErr.status == http.StatusInternalServerError:
		return maxSlowTries
	case isTransport(err), errors.Is(err, errBody), isStatus && retryLater(statusErr.status):
		return maxTries
	}
	return 1
}

// isTransport reports whether the server sent no response.
func isTransport(err error) bool {
	_, ok := errors.AsType[*url.Error](err)
	return ok
}

// withoutURL returns an error without the URL of the request.
func withoutURL(err error) error {
	if urlErr, ok := errors.AsType[*url.Error](err); ok {
		err = urlErr.Err
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return errSlow
	}
	return err
}

var (
	errSlow = errors.New("the response takes too long")
	errBody = errors.New("the response is incomplete")
)

// statusError reports an unexpected status of a response.
type statusError struct{ status int }

func (e *statusError) Error() string {
	return strings.TrimSpace("the response is " + strconv.Itoa(e.status) + " " + http.StatusText(e.status))
}

func retryLater(status int) bool {
	switch status {
	case http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return true
	}
	return false
}

func retryAfter(header http.Header) time.Duration {
	seconds, err := strconv.Atoi(header.Get("Retry-After"))
	if err != nil || seconds < 0 {
		return 0
	}
	return min(time.Duration(seconds)*time.Second, maxPause)
}

// try sends a request once, and passes the response to handle.
func (c *client) try(ctx context.Context, target string, header http.Header, handle func(*http.Response) error) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return errors.New("not a URL that can be requested")
	}
	request.Header = header.Clone()
	request.Header.Set("Accept-Encoding", "identity")
	request.Header.Set("User-Agent", "portfolio")
	r, err := c.http.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }()
	if r.StatusCode >= 300 && r.StatusCode < 400 {
		return fmt.Errorf("%w without a Location header", errRedirect)
	}
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return errors.New("the response is compressed, although the request forbids it")
	}
	return handle(r)
}

// getDocument requests a target, and returns a response with a body of at most maxDocument
// bytes. It returns the errors of get.
func (c *client) getDocument(ctx context.Context, target string, header http.Header) (*response, error) {
	var resp *response
	err := c.get(ctx, target, header, func(r *http.Response) error {
		body, err := io.ReadAll(io.LimitReader(r.Body, maxDocument+1))
		if err != nil {
			return incomplete(err)
		}
		if len(body) > maxDocument {
			return fmt.Errorf("the response has more than %d bytes", maxDocument)
		}
		resp = &response{status: r.StatusCode, header: r.Header, body: body}
		return nil
	})
	return resp, err
}

// incomplete returns the error of a body that ends early.
func incomplete(err error) error {
	return fmt.Errorf("%w: %w", errBody, err)
}

// content is a file of known size.
type content struct {
	io.Reader
	size      int64
	head      []byte   // the first bytes
	file      *os.File // nil if the content is in memory
	temporary bool     // whether close removes the file
}

func (c *content) close() {
	if c.file == nil {
		return
	}
	_ = c.file.Close()
	if c.temporary {
		_ = os.Remove(c.file.Name())
	}
}

// errTooLarge is the error of a file that has more bytes than the limit.
var errTooLarge = errors.New("the file is too large")

// spool reads a whole file. It stores a large file in a temporary file.
func spool(body io.Reader, limit int64) (*content, error) {
	head, err := io.ReadAll(io.LimitReader(body, min(limit, maxInMemory)+1))
	if err != nil {
		return nil, incomplete(err)
	}
	if int64(len(head)) > limit {
		return nil, errTooLarge
	}
	if len(head) <= maxInMemory {
		return &content{Reader: bytes.NewReader(head), size: int64(len(head)), head: head}, nil
	}
	temp, err := os.CreateTemp("", "portfolio-")
	if err != nil {
		return nil, err
	}
	file := &content{Reader: temp, head: head, file: temp, temporary: true}
	file.size, err = io.Copy(temp, io.MultiReader(bytes.NewReader(head), io.LimitReader(body, limit+1-int64(len(head)))))
	if err == nil && file.size > limit {
		err = errTooLarge
	} else if err != nil {
		err = incomplete(err)
	}
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		file.close()
		return nil, err
	}
	return file, nil
}
