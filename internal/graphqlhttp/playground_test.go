package graphqlhttp_test

import (
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
	t.Parallel()
	handler, err := graphqlhttp.NewPlayground("/graphql", "KEY")
	if err != nil {
		t.Fatal(err)
	}
	page := httptest.NewRecorder()
	handler.ServeHTTP(page, httptest.NewRequest(http.MethodGet, "/", nil))
	for _, want := range []string{`"Authorization":"Token KEY"`, `portfolioLink(portfolioId: 1, id: 4)`, "shouldPersistHeaders: false"} {
		if !strings.Contains(page.Body.String(), want) {
			t.Errorf("the page has no %s", want)
		}
	}
	refused := httptest.NewRecorder()
	handler.ServeHTTP(refused, httptest.NewRequest(http.MethodPost, "/", nil))
	if refused.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: %d", refused.Code)
	}
}
