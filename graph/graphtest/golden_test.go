package graphtest

import (
	"net/http"
	"slices"
	"testing"

	"golang.org/x/tools/txtar"
)

func TestGolden_Compares(t *testing.T) {
	t.Parallel()
	g := &Golden{want: map[string]string{"a": "1\n", "b": "2\n"}}
	if g.compare("a", "1\n") != "" || g.compare("a", "2\n") == "" || g.compare("new", "1\n") == "" {
		t.Error("a wrong or missing section passes, or a correct one fails")
	}
	if unused := g.unused(); !slices.Equal(unused, []string{"b"}) {
		t.Errorf("unused: %q", unused)
	}
}

func TestGolden_Updates(t *testing.T) {
	t.Parallel()
	g := &Golden{update: true, want: map[string]string{}}
	if g.compare("b", "2\n") != "" || g.compare("a", "1\n") != "" {
		t.Error("the first response fails")
	}
	if g.compare("a", "2\n") == "" {
		t.Error("a second, different response passes")
	}
	files := txtar.Parse(g.format("TestX")).Files
	if len(files) != 2 || files[0].Name != "b" || string(files[0].Data) != "2\n" || files[1].Name != "a" || string(files[1].Data) != "1\n" {
		t.Errorf("%q", files)
	}
}

func TestFormatResponse_EndsInNewline(t *testing.T) {
	t.Parallel()
	header := http.Header{"Etag": {`"1"`}, "Vary": {"Accept", "Authorization"}, "Date": {"today"}}
	response := &http.Response{Proto: "HTTP/1.1", Status: "200 OK", Header: header}
	if got, want := formatResponse(response, "{}"), "HTTP/1.1 200 OK\nETag: \"1\"\nVary: Accept, Authorization\n\n{}\n"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
