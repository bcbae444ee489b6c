// Package changefeedtest runs change feeds in tests.
package changefeedtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

// Start runs a feed of a database until the test ends, and waits until it is connected.
func Start(t testing.TB, database *db.DB) *changefeed.Feed {
	t.Helper()
	changes := changefeed.New(changefeed.Options{
		Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
			return database.Listen(ctx, db.URL{}, changed)
		},
		Log: slog.New(slog.DiscardHandler),
	})
	Run(t, changes)
	Await(t, changes)
	return changes
}

// Run runs a feed until the test ends.
func Run(t testing.TB, changes *changefeed.Feed) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		changes.Run(ctx)
		close(done)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
}

// Await waits until a feed is connected.
func Await(t testing.TB, changes *changefeed.Feed) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); changes.Sync() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("the change feed is disconnected")
		}
	}
}
