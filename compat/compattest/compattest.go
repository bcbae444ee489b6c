// Package compattest replays requests to the old system, and holds the answers
// against those that it gave.
package compattest

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// Case is a request to the old system and its answer.
type Case struct {
	Name    string `json:"name"`
	Request struct {
		Method      string            `json:"method"`
		Path        string            `json:"path"`
		Headers     map[string]string `json:"headers"` // one character a byte
		Body        string            `json:"body"`
		HTTPVersion string            `json:"http_version"`
	} `json:"request"`
	Response   Answer `json:"response"`
	StatusOnly bool   `json:"status_only"` // the web framework's own page
}

// Answer is what is compared of a response.
type Answer struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`
}

// Cases reads a file of recordings, a JSON object a line.
func Cases(t testing.TB, path string) []Case {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = file.Close() }()
	var cases []Case
	for decoder := json.NewDecoder(file); ; {
		var c Case
		err := decoder.Decode(&c)
		if err == io.EOF {
			return cases
		}
		if err != nil {
			t.Fatal(err)
		}
		cases = append(cases, c)
	}
}

// comparedHeaders are those that a recorded answer lists; one that it does
// not list must not be sent.
var comparedHeaders = []string{"Content-Type", "WWW-Authenticate", "Allow", "Vary", "Location"}

// Replay sends a request as it was recorded and compares the answer.
func Replay(t *testing.T, address string, c Case) {
	t.Helper()
	request := c.raw()
	got := Send(t, address, c.Request.Method, request)
	if c.StatusOnly {
		got.Body, got.Headers = "", nil
	}
	if diff := cmp.Diff(c.Response, got); diff != "" {
		t.Errorf("request:\n%s\n\nanswer, - wanted, + got:\n%s", request, diff)
	}
}

func (c Case) raw() []byte {
	version := c.Request.HTTPVersion
	if version == "" {
		version = "1.1"
	}
	var raw bytes.Buffer
	fmt.Fprintf(&raw, "%s %s HTTP/%s\r\n", c.Request.Method, c.Request.Path, version)
	for name, value := range c.Request.Headers {
		fmt.Fprintf(&raw, "%s: %s\r\n", name, latin1(value))
	}
	if c.Request.Body != "" {
		fmt.Fprintf(&raw, "Content-Length: %d\r\n", len(c.Request.Body))
	}
	raw.WriteString("Connection: close\r\n\r\n" + c.Request.Body)
	return raw.Bytes()
}

func latin1(s string) []byte {
	var b []byte
	for _, r := range s {
		b = append(b, byte(r))
	}
	return b
}

// Send sends the bytes of a request and reads the answer to that method.
func Send(t *testing.T, address, method string, raw []byte) Answer {
	t.Helper()
	connection, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }()
	if _, err := connection.Write(raw); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(connection), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	got := Answer{response.StatusCode, map[string]string{}, string(body)}
	for _, name := range comparedHeaders {
		if values, ok := response.Header[http.CanonicalHeaderKey(name)]; ok {
			got.Headers[name] = strings.Join(values, ", ")
		}
	}
	return got
}
