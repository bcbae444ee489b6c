// Package feedtest starts feeds in tests.
package feedtest

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"portfolio/db"
	"portfolio/internal/feed"
)

// Start starts a feed of a database, which ends with the test, and waits until it hears of
// changes. With a URL, it listens there.
func Start(t testing.TB, database *db.DB, url string) *feed.Feed {
	t.Helper()
	var at db.URL
	if url != "" {
		var err error
		if at, err = db.ParseURL(url); err != nil {
			t.Fatal(err)
		}
	}
	changes := feed.New(feed.Options{
		Listen: func(ctx context.Context, changed func(db.Change)) (db.Listener, error) {
			return database.Listen(ctx, at, changed)
		},
		Log: slog.New(slog.DiscardHandler),
	})
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
	Await(t, changes)
	return changes
}

// Await waits until a feed hears of changes.
func Await(t testing.TB, changes *feed.Feed) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); changes.Mark(t.Context()) == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("changes are not heard")
		}
	}
}
