package legacyimport_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// TestImport_RefusesHiddenKeys checks that the import stores no file under a name that storage,
// backups and restores refuse.
func TestImport_RefusesHiddenKeys(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(hostile{edit: []string{"/media/a/b.png", "/media/.restore-incoming/b.png", "/media/a/t.png", "/media/a/.thumbnails/t.png"}})
	defer server.Close()
	m := newTarget(t, dbtest.Open(t, dbtest.SQLite(t)))
	_, text := m.run(endpointOptions(t, server.URL))
	for _, key := range []string{".restore-incoming/b.png", "a/.thumbnails/t.png"} {
		if want := "missing file " + key + ": a file cannot have this name in the media store\n"; !strings.Contains(text, want) {
			t.Errorf("got the report %s, want %s", text, want)
		}
	}
	if got := m.files(); got != "" {
		t.Errorf("got the files %s, want none", got)
	}
}
