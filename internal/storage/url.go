package storage

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// MediaURL is the configured base URL of files, with a trailing slash. If it is empty, files have the
// host of the request.
type MediaURL string

// UnmarshalText implements encoding.TextUnmarshaler. It checks the URL and adds
// the trailing slash.
func (u *MediaURL) UnmarshalText(text []byte) error {
	*u = ""
	parsed, err := url.Parse(string(text))
	switch {
	case err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Hostname() == "":
		return errors.New("not an absolute http or https URL")
	case parsed.User != nil:
		return errors.New("must not contain a user or a password: clients see it")
	case parsed.RawQuery != "" || parsed.ForceQuery || parsed.Fragment != "":
		return errors.New("must not have a query or a fragment")
	}
	*u = MediaURL(strings.TrimSuffix(parsed.String(), "/") + "/")
	return nil
}

// For returns the base URL of the files for a request with the context ctx and the header Host host.
// If host is empty, as HTTP/1.0 allows, For uses the address that the client has connected to.
func (u MediaURL) For(ctx context.Context, host string) string {
	if u != "" {
		return string(u)
	}
	if host == "" {
		host = localAddress(ctx)
	}
	return scheme(ctx) + host + Prefix
}

func localAddress(ctx context.Context) string {
	if address, ok := ctx.Value(http.LocalAddrContextKey).(net.Addr); ok {
		return address.String()
	}
	return ""
}

// scheme returns the scheme of a request. It is not inlined, so that For is inlined. Then the result
// of For needs no memory.
//
//go:noinline
func scheme(ctx context.Context) string {
	if ctx.Value(tlsKey{}) != nil {
		return "https://"
	}
	return "http://"
}

type tlsKey struct{}

// WithTLS returns a copy of ctx for a request that the client sent to a reverse proxy over TLS.
func WithTLS(ctx context.Context) context.Context {
	return context.WithValue(ctx, tlsKey{}, true)
}

type baseURLKey struct{}

// WithBaseURL returns a copy of ctx that carries the base URL of files.
func WithBaseURL(ctx context.Context, base string) context.Context {
	return context.WithValue(ctx, baseURLKey{}, base)
}

// BaseURL returns the base URL that ctx carries, "" if it carries none.
func BaseURL(ctx context.Context) string {
	base, _ := ctx.Value(baseURLKey{}).(string)
	return base
}

// URL returns the URL of the file at the path in a row. base must end in a slash.
func URL(base, path string) string {
	return base + (&url.URL{Path: Key(path)}).EscapedPath()
}

// Key returns the key of the file at the path in a row. Paths of the legacy system may begin with
// slashes.
func Key(path string) string { return strings.TrimLeft(path, "/") }
