package health

import (
	"context"
	"log/slog"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/storage/storagetest"
)

// TestChecker_SurvivesDisconnect checks that a client which disconnects does not make
// the server unready for others.
func TestChecker_SurvivesDisconnect(t *testing.T) {
	t.Parallel()
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		checker := New(database, storagetest.Directory(t), Options{Log: slog.New(slog.DiscardHandler)})
		canceled, cancel := context.WithCancel(t.Context())
		cancel()
		for _, ctx := range []context.Context{canceled, t.Context()} {
			if problem := checker.Check(ctx); problem != "" {
				t.Error(problem)
			}
		}
	})
}
