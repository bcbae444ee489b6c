package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"portfolio/internal/config"
)

type healthcheckCommand struct {
	Addr    config.Address `env:"ADDR" default:"127.0.0.1:8000" placeholder:"HOST:PORT" help:"Address of the server (${default})."`
	URL     string         `name:"url" placeholder:"URL" help:"URL to request. Unset: the path at ADDR."`
	Path    string         `default:"/readyz" placeholder:"PATH" help:"Path to request at ADDR (${default}). /healthz: whether the process is alive."`
	Timeout time.Duration  `default:"5s" help:"Time limit (${default})."`
}

// Run requests a path of the server and returns an error unless the status is 200.
func (c *healthcheckCommand) Run(ctx context.Context) error {
	url := c.URL
	if url == "" {
		host, port, _ := net.SplitHostPort(string(c.Addr))
		url = "http://" + net.JoinHostPort(localHost(host), port) + c.Path
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return fmt.Errorf("--url: %w", err)
	}
	client := http.Client{
		Transport:     new(http.Transport), // without a proxy
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	response, err := client.Do(request)
	if errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("%s: no response within %s", url, c.Timeout)
	}
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		reason, _ := io.ReadAll(io.LimitReader(response.Body, 1<<10))
		return fmt.Errorf("%s: %s: %s", url, response.Status, strings.TrimSpace(string(reason)))
	}
	return nil
}

// localHost returns the host at which this machine reaches a server that listens
// on host.
func localHost(host string) string {
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		return "127.0.0.1"
	}
	return host
}
