package graphqlhttp_test

import (
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"portfolio/internal/graphqlhttp"
)

// TestPlaygroundInBrowser runs the page under its Content Security Policy. If the
// CDN is unreachable, the script fails at the first name that the CDN defines,
// which shows as well that the policy allows it.
func TestPlaygroundInBrowser(t *testing.T) {
	t.Parallel()
	chromium, err := exec.LookPath("chromium")
	if err != nil && os.Getenv("CI") == "" {
		t.Skip("the playground's policy is not tested: install chromium (Debian: apt-get install chromium)")
	} else if err != nil {
		t.Fatal(err)
	}
	playground, err := graphqlhttp.NewPlayground("/graphql", "")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(playground)
	t.Cleanup(server.Close)
	command := exec.CommandContext(t.Context(), chromium, "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr",
		"--virtual-time-budget=5000", "--dump-dom", "--user-data-dir="+t.TempDir(), server.URL)
	var log strings.Builder
	command.Stderr = &log
	page, err := command.Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, log.String())
	}
	messages := regexp.MustCompile(`(?m)^.*:CONSOLE.*$`).FindAllString(log.String(), -1)
	for _, line := range messages {
		if strings.Contains(line, "Content Security Policy") {
			t.Error(line)
		}
	}
	ran := strings.Contains(string(page), "graphiql-container") || strings.Contains(strings.Join(messages, "\n"), "GraphiQL is not defined")
	if !ran {
		t.Errorf("the page's script did not run: %q", messages)
	}
}

func TestPlayground(t *testing.T) {
	handler, err := graphqlhttp.NewPlayground("/graphql", "KEY")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(handler)
	t.Cleanup(server.Close)
	for _, c := range []struct {
		name      string
		method    string
		host      string // that of the URL if empty
		header    http.Header
		status    int
		wantToken bool
	}{
		{"loopback address", http.MethodGet, "", nil, http.StatusOK, true},
		{"localhost", http.MethodGet, "localhost:8000", nil, http.StatusOK, true},
		{"IPv6 loopback", http.MethodGet, "[::1]", nil, http.StatusOK, true},
		{"another host", http.MethodGet, "rebound.example:8000", nil, http.StatusOK, false},
		{"behind a proxy", http.MethodGet, "", http.Header{"X-Forwarded-For": {"192.0.2.1"}}, http.StatusOK, false},
		{"behind a standard proxy", http.MethodGet, "", http.Header{"Forwarded": {"for=192.0.2.1"}}, http.StatusOK, false},
		{"POST", http.MethodPost, "", nil, http.StatusMethodNotAllowed, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			request, err := http.NewRequestWithContext(t.Context(), c.method, server.URL, nil)
			if err != nil {
				t.Fatal(err)
			}
			request.Host, request.Header = c.host, http.Header{}
			maps.Copy(request.Header, c.header)
			response, err := server.Client().Do(request)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(response.Body)
			if err := errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			if response.StatusCode != c.status || strings.Contains(string(body), `"Authorization":"Token KEY"`) != c.wantToken {
				t.Errorf("%s, the token is shown: %v", response.Status, !c.wantToken)
			}
			for _, want := range []string{`portfolioLink(portfolioId: 1, id: 4)`, "shouldPersistHeaders: false"} {
				if c.status == http.StatusOK && !strings.Contains(string(body), want) {
					t.Errorf("the page has no %s", want)
				}
			}
		})
	}
}

// TestPlaygroundHidesTokenFromNetwork sends a request from an address that is not
// loopback.
func TestPlaygroundHidesTokenFromNetwork(t *testing.T) {
	handler, err := graphqlhttp.NewPlayground("/graphql", "KEY")
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	request := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "http://localhost/", nil) // from 192.0.2.1
	handler.ServeHTTP(page, request)
	if page.Code != http.StatusOK || strings.Contains(page.Body.String(), "Token KEY") {
		t.Errorf("%d, the token is shown", page.Code)
	}
}
