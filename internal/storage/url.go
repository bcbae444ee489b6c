package storage

import (
	"context"
	"errors"
	"net/url"
	"strings"
)

// ParseBaseURL checks the configured base URL of files and returns it with a
// trailing slash. An empty base URL is valid and stays empty.
func ParseBaseURL(base string) (string, error) {
	if base == "" {
		return "", nil
	}
	parsed, err := url.Parse(base)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", errors.New("not an absolute http or https URL")
	}
	return strings.TrimSuffix(parsed.String(), "/") + "/", nil
}

// BaseURLFor returns the configured base URL, as ParseBaseURL returned it, or
// the one at host if none is configured.
func BaseURLFor(configured, host string) string {
	if configured != "" {
		return configured
	}
	return "http://" + host + Prefix
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

// URL returns the URL of the file at a path as rows store it. The base URL
// must end in a slash.
func URL(base, path string) string {
	return base + (&url.URL{Path: Key(path)}).EscapedPath()
}

// Key returns the key of the file at a path as rows store it: paths of the
// legacy system may begin with slashes.
func Key(path string) string { return strings.TrimLeft(path, "/") }
