package legacyimport_test

import (
	"errors"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestDirectory_NamedPipe checks that an import does not wait for the writer of a pipe.
func TestDirectory_NamedPipe(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(hostile{})
	defer server.Close()
	directory := t.TempDir()
	if err := errors.Join(os.Mkdir(filepath.Join(directory, "a"), 0o700), syscall.Mkfifo(filepath.Join(directory, "a/b.png"), 0o600)); err != nil {
		t.Fatal(err)
	}
	m, o := newTarget(t, dbtest.Open(t, dbtest.SQLite(t))), endpointOptions(t, server.URL)
	if err := o.Media.UnmarshalText([]byte(directory)); err != nil {
		t.Fatal(err)
	}
	if _, text := m.run(o); !strings.Contains(text, "not a regular file") {
		t.Errorf("report: %s, want not a regular file", text)
	}
}

// TestEndpoint_RefusesTextThatIsNotUnicode checks that a link is not stored with another text
// than the legacy system has.
func TestEndpoint_RefusesTextThatIsNotUnicode(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ old, edit, want string }{
		"an unpaired surrogate":            {`"name":"n"`, `"name":"a\ud83d"`, "name: must be UTF-8 without unpaired surrogates"},
		"surrogates in the wrong order":    {`"name":"n"`, `"name":"\udc00\ud800"`, "name: must be UTF-8 without unpaired surrogates"},
		"a byte of Latin-1":                {`"name":"n"`, "\"name\":\"\xe9\"", "name: must be UTF-8 without unpaired surrogates"},
		"a pair":                           {`"name":"n"`, `"name":"\ud83d\ude00"`, ""},
		"an escaped backslash":             {`"name":"n"`, `"name":"\\ud83d"`, ""},
		"the replacement character U+FFFD": {`"name":"n"`, `"name":"\ufffd"`, ""},
		"the name of an image":             {`"name":"i"`, `"name":"\udfff"`, "image_data.name: must be UTF-8 without unpaired surrogates"},
		"the path of a thumbnail":          {`/media/a/t.png`, `/media/a/\ud800.png`, "image_data.thumbnails[0].f: must be UTF-8 without unpaired surrogates"},
	} {
		server := httptest.NewServer(hostile{edit: []string{c.old, c.edit}})
		defer server.Close()
		m := newTarget(t, dbtest.Open(t, dbtest.SQLite(t)))
		_, text := m.run(endpointOptions(t, server.URL))
		if refused := strings.Contains(text, "cannot be imported: not the documented JSON: "+c.want); refused != (c.want != "") {
			t.Errorf("%s: report %s, want %q", name, text, c.want)
		}
		if _, err := m.database.PortfolioLink(t.Context(), nil, 1); errors.Is(err, db.ErrNotFound) != (c.want != "") {
			t.Errorf("%s: the link: %v", name, err)
		}
	}
}
