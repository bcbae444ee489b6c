package system

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"portfolio/db/dbtest"
	"portfolio/test/servertest"
)

// change is a request that changes something. Others that were sent after it was
// acknowledged came later.
type change struct {
	effect      string
	sent, acked int64
}

// changes records changes by several clients.
type changes struct {
	clock atomic.Int64
	mu    sync.Mutex
	done  []change
}

func (c *changes) do(effect string, request func()) {
	sent := c.clock.Add(1)
	request()
	acked := c.clock.Add(1)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.done = append(c.done, change{effect, sent, acked})
}

// checkMoment checks that what is visible are all changes up to one moment between
// begun and ended.
func (c *changes) checkMoment(t *testing.T, begun, ended int64, visible func(effect string) bool) {
	t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	moment, after := begun, 0
	for _, change := range c.done {
		if visible(change.effect) {
			moment = max(moment, change.sent)
			if change.sent > ended {
				t.Errorf("%s was sent after the backup", change.effect)
			}
		}
	}
	for _, change := range c.done {
		if !visible(change.effect) {
			after++
			if change.acked < moment {
				t.Errorf("%s was acknowledged at %d, and one that was sent at %d or the begin of the backup at %d is visible", change.effect, change.acked, moment, begun)
			}
		}
	}
	if after == 0 || after == len(c.done) {
		t.Errorf("%d of %d changes came after the backup", after, len(c.done))
	}
}

// loadClient sends mutations to a server and checks that they succeed.
type loadClient struct {
	t      *testing.T
	server *process
	key    string
	image  []byte
}

// mutate runs a mutation, with the image as the variable i, and returns the ID in
// the response.
func (l *loadClient) mutate(selection string) (id string) {
	body, mediaType := servertest.UploadForm("mutation($i: Upload!) { "+selection+" }", l.image)
	if !strings.Contains(selection, "$i") {
		text, _ := json.Marshal(map[string]string{"query": "mutation { " + selection + " }"})
		body, mediaType = bytes.NewBuffer(text), "application/json"
	}
	status, response := l.server.post(l.key, mediaType, body)
	if status != http.StatusOK || strings.Contains(response, `"errors"`) {
		l.t.Errorf("%d %s", status, response)
	}
	return string(regexp.MustCompile(`\d+`).Find([]byte(response)))
}

// run changes rows and files until stop is closed. Each client makes its changes
// one after the other; they delete the images.
func (l *loadClient) run(changes *changes, images []string, stop chan struct{}) (wait func()) {
	var clients sync.WaitGroup
	for name, step := range map[string]func(name string, i int){
		"rows": func(name string, _ int) {
			var id string
			changes.do(name, func() {
				id = l.mutate(`createPortfolioLink(input: {portfolioId: 1, name: "` + name + `"}) { portfolioLink { id } }`)
			})
			changes.do(name+" done", func() {
				l.mutate(`updatePortfolioLink(input: {id: ` + id + `, name: "` + name + ` done"}) { portfolioLink { id } }`)
			})
		},
		"upload": func(name string, _ int) {
			changes.do(name, func() {
				l.mutate(`createPortfolioLink(input: {portfolioId: 1, name: "` + name + `", image: $i}) { portfolioLink { id } }`)
			})
		},
		"delete": func(_ string, i int) {
			l.mutate(`createPortfolioLink(input: {portfolioId: 1, name: "other"}) { portfolioLink { id } }`)
			if i < len(images) {
				changes.do("deleted "+images[i], func() { l.mutate("deleteImage(input: {id: " + images[i] + "}) { deletedNodeId }") })
			}
		},
	} {
		clients.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					step(fmt.Sprint(name, i), i)
				}
			}
		})
	}
	return clients.Wait
}

// TestBackup_IsConsistentUnderLoad backs up while clients change rows and files. The variable TEST_BACKUPS
// sets how often.
func TestBackup_IsConsistentUnderLoad(t *testing.T) {
	t.Parallel()
	count := environmentNumber(t, "TEST_BACKUPS", 2)
	dsn, media, directory := dbtest.SQLite(t), t.TempDir(), t.TempDir()
	client := &loadClient{t: t, key: newKey(t, dsn), image: photograph(t, 60, 40)}
	client.server = startProcess(t, dsn, "file:"+media, t.TempDir())
	defer client.server.kill(t)
	dbtest.Exec(t, dsn, "INSERT INTO portfolios (name) VALUES ('first')")
	var images []string
	for range 50 {
		images = append(images, client.mutate("uploadImage(input: {image: $i}) { image { id } }"))
	}
	var changes changes
	stop := make(chan struct{})
	wait := client.run(&changes, images, stop)
	type taken struct{ begun, ended int64 }
	var backups []taken
	for i := range count {
		begun := changes.clock.Add(1)
		if output, err := runProcess("backup", "--database-url="+dsn, "--media-store=file:"+media, fmt.Sprint(directory, "/", i, ".tar")).CombinedOutput(); err != nil {
			t.Errorf("%v %s", err, output)
		}
		backups = append(backups, taken{begun, changes.clock.Add(1)})
	}
	close(stop)
	wait()
	final := stateOf(t, strings.TrimPrefix(dsn, "sqlite:"), media)
	for i, backup := range backups {
		place := fmt.Sprint(directory, "/", i)
		database, restoredMedia := place+"/portfolio.db", place+"/media"
		runCommand(t, 0, "restore", "--database-url=sqlite:"+database, "--media-store=file:"+restoredMedia, place+".tar")
		restored := stateOf(t, database, restoredMedia)
		checkComplete(t, restored, restoredMedia)
		checkUnchanged(t, final, restored)
		names := map[string]bool{}
		for row, text := range restored.Rows {
			var fields map[string]string
			_ = json.Unmarshal([]byte(text), &fields)
			if strings.HasPrefix(row, "portfolio_links ") {
				names[fields["name"]] = true
			}
		}
		changes.checkMoment(t, backup.begun, backup.ended, func(effect string) bool {
			if id, deleted := strings.CutPrefix(effect, "deleted "); deleted {
				return restored.Rows["images "+id] == ""
			}
			return names[effect] || names[effect+" done"]
		})
	}
}
