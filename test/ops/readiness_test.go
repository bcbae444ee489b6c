//go:build ops

package ops

import (
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"portfolio/db/dbtest"
)

// mediaFaults make a directory of files, and what makes writing to it fail later. The
// database is at dsn.
var mediaFaults = map[string]func(t *testing.T) (media, dsn string, fail func()){
	"directory": func(t *testing.T) (string, string, func()) {
		media := filepath.Join(t.TempDir(), "media")
		return media, dbtest.SQLite(t), func() {
			if err := os.RemoveAll(media); err != nil { // so that also root cannot write there
				t.Fatal(err)
			}
		}
	},
	"disk": func(t *testing.T) (string, string, func()) {
		disk := newDisk(t, "16m")
		return filepath.Join(disk, "media"), "sqlite:" + filepath.Join(disk, "test.db"), func() { fill(t, disk) }
	},
}

// TestProxyWithoutMedia checks that all but uploads work behind each proxy while neither
// server can store files.
func TestProxyWithoutMedia(t *testing.T) {
	for name, startProxy := range proxies {
		for fault, prepareFault := range mediaFaults {
			t.Run(name+" "+fault, func(t *testing.T) {
				t.Parallel()
				media, dsn, fail := prepareFault(t)
				key := prepare(t, dsn)
				var servers [2]*server
				for i := range servers {
					servers[i] = newServer(t, dsn, "MEDIA_STORE=file:"+media, "LOG_LEVEL=debug")
				}
				c := &client{"https://example.org", key, startProxy(t, [2]string{servers[0].address, servers[1].address})}
				if _, err := c.upload(photograph(t)); err != nil {
					t.Errorf("an upload before: %v", err)
				}
				fail()
				for _, s := range servers {
					awaitUnready(t, s)
					if name == "caddy" { // which has noticed by then
						seen := s.healthChecks()
						waitFor(t, "health checks", func() bool { return s.healthChecks() >= seen+5 })
					}
				}
				for range 50 {
					if err := c.graphql(readLink, map[string]any{"id": 7}, &struct{}{}); err != nil {
						t.Errorf("a query: %v", err)
					}
					if _, err := c.rest(fixedPortfolio, "7"); err != nil {
						t.Errorf("a REST request: %v", err)
					}
				}
				if _, err := c.upload(photograph(t)); !errors.Is(err, errUnavailable) {
					t.Errorf("an upload: %v, want %v", err, errUnavailable)
				}
			})
		}
	}
}

// awaitUnready waits until a server is not ready for uploads.
func awaitUnready(t *testing.T, s *server) {
	t.Helper()
	direct := &client{"http://" + s.address, "", http.DefaultClient}
	waitFor(t, "status 503 of /readyz", func() bool {
		status, _, err := direct.send(http.MethodGet, "/readyz", "", nil, slowest)
		return err == nil && status == http.StatusServiceUnavailable
	})
}

// healthChecks counts the health checks in the log of a server.
func (s *server) healthChecks() int {
	s.t.Helper()
	content, err := os.ReadFile(filepath.Join(s.directory, "server.log"))
	if err != nil {
		s.t.Fatal(err)
	}
	return strings.Count(string(content), `"path":"/readyz`)
}
