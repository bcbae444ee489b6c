package system

import (
	"bytes"
	"encoding/json"
	"io"
	"mime/multipart"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"
)

// TestPlayground_RunsItsExamples runs the examples of the playground with the token that
// the page shows.
func TestPlayground_RunsItsExamples(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	_, page := server.get("/", "Accept: text/html")
	found := regexp.MustCompile(`<script id="config" type="application/json">(.*)</script>`).FindStringSubmatch(page)
	if found == nil {
		t.Fatalf("no configuration in %s", page)
	}
	var config struct {
		Endpoint, Token string
		Examples        []struct{ Query, Variables string }
	}
	if err := json.Unmarshal([]byte(found[1]), &config); err != nil {
		t.Fatal(err)
	}
	if len(config.Examples) == 0 {
		t.Error("no examples")
	}
	for _, example := range config.Examples {
		if strings.Contains(example.Query, "\nsubscription ") {
			checkFirstEvent(t, server, config.Endpoint, config.Token, example.Query, example.Variables)
			continue
		}
		form, contentType := exampleForm(t, server.data, example.Query, example.Variables)
		header := http.Header{"Authorization": {"Token " + config.Token}, "Content-Type": {contentType}}
		status, _, body := server.send(http.MethodPost, config.Endpoint, header, form)
		if status != http.StatusOK || !strings.HasPrefix(body, `{"data":{`) {
			t.Errorf("%s\n%d %s", example.Query, status, body)
		}
	}
}

// checkFirstEvent subscribes, and checks the first event.
func checkFirstEvent(t *testing.T, server *testServer, endpoint, token, query, variables string) {
	t.Helper()
	form, contentType := exampleForm(t, server.data, query, variables)
	request, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+endpoint, form)
	if err != nil {
		t.Fatal(err)
	}
	request.Header = http.Header{"Authorization": {"Token " + token}, "Content-Type": {contentType}, "Accept": {"application/json, text/event-stream"}}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	const want = `event: next` + "\n" + `data: {"data":{`
	got := make([]byte, len(want))
	if _, err := io.ReadFull(response.Body, got); err != nil || string(got) != want {
		t.Errorf("%s\n%s, %v", query, got, err)
	}
}

// exampleForm returns the body of a request and its type. A variable of type
// Upload gets an image of the demo, whose data directory is data.
func exampleForm(t *testing.T, data, query, variables string) (body *bytes.Buffer, contentType string) {
	t.Helper()
	upload := regexp.MustCompile(`\$(\w+): Upload`).FindStringSubmatch(query)
	if upload != nil {
		variables = `{"` + upload[1] + `": null}`
	} else if variables == "" {
		variables = "null"
	}
	operations, err := json.Marshal(map[string]any{"query": query, "variables": json.RawMessage(variables)})
	if err != nil {
		t.Fatal(err)
	}
	if upload == nil {
		return bytes.NewBuffer(operations), "application/json"
	}
	image, err := os.ReadFile(data + "/media/core_media/2025/12/02/technology.png")
	if err != nil {
		t.Fatal(err)
	}
	body = new(bytes.Buffer)
	form := multipart.NewWriter(body)
	_ = form.WriteField("operations", string(operations))
	_ = form.WriteField("map", `{"0": ["variables.`+upload[1]+`"]}`)
	file, _ := form.CreateFormFile("0", "technology.png")
	_, _ = file.Write(image)
	_ = form.Close()
	return body, form.FormDataContentType()
}

// TestPlayground_HasHeaders checks the headers that all responses of the playground
// have.
func TestPlayground_HasHeaders(t *testing.T) {
	t.Parallel()
	server := startServer(t)
	for path, policy := range map[string]string{
		"/":                   "default-src 'none'; script-src 'sha256-",
		"/playground/none.js": "default-src 'none'; frame-ancestors 'none'; sandbox",
	} {
		_, header, _ := server.send(http.MethodGet, path, http.Header{"Accept": {"text/html"}}, nil)
		if header.Get("X-Content-Type-Options") != "nosniff" || header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %q", path, header)
		}
		if !strings.HasPrefix(header.Get("Content-Security-Policy"), policy) {
			t.Errorf("%s: the policy is %s", path, header.Get("Content-Security-Policy"))
		}
	}
}
