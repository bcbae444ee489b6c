package db_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func TestTime_ScansBothDatabases(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"2026-01-13T10:05:43.296270Z":   "2026-01-13T10:05:43.29627Z",
		"2026-01-13 10:05:43.296270":    "2026-01-13T10:05:43.29627Z",
		"2026-01-13 10:05:43":           "2026-01-13T10:05:43Z",
		"2026-01-13T13:35:43+03:30":     "2026-01-13T10:05:43Z",
		"2026-01-13 13:35:43.5+03:30":   "2026-01-13T10:05:43.5Z",
		"2026-01-13T10:05:43.12345678Z": "2026-01-13T10:05:43.123456Z",
	} {
		var got db.Time
		if err := got.Scan(text); err != nil || got.Format(time.RFC3339Nano) != want {
			t.Errorf("%s: %s, %v", text, got.Format(time.RFC3339Nano), err)
		}
	}
	for _, bad := range []any{"yesterday", 5, nil} {
		if err := new(db.Time).Scan(bad); err == nil {
			t.Errorf("%v scanned as a time", bad)
		}
	}
}

// TestTime_OrdersLoadedRows checks that rows loaded by other programs are listed in the
// order of time, in whatever format it was written.
func TestTime_OrdersLoadedRows(t *testing.T) {
	t.Parallel()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		written := []string{
			"2026-01-13T10:05:43.296270Z", "2026-01-13T10:05:43Z", "2026-01-13 10:05:43.5", "2026-01-13 10:05:43.123+00:00",
			"2026-01-13T13:35:44.000001+03:30", "2026-01-13T10:05:43.999999Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z", "2026-01-13 10:05:43.1+00:00",
		}
		for _, text := range written {
			dbtest.Exec(t, dsn, "INSERT INTO portfolios (name, created_at, updated_at) VALUES ($1, $2, $2)", text, text)
		}
		page, err := dbtest.Open(t, dsn).Portfolios(t.Context(), db.List{Order: db.NewOrderBy(db.Order{Field: db.OrderByCreatedAt, Direction: db.Ascending}), Limit: 100, WithRows: true})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, portfolio := range page.Rows {
			got = append(got, portfolio.CreatedAt.Format(time.RFC3339Nano))
		}
		if diff := cmp.Diff([]string{
			"0001-01-01T00:00:00Z", "2026-01-13T10:05:43Z", "2026-01-13T10:05:43.1Z", "2026-01-13T10:05:43.123Z", "2026-01-13T10:05:43.29627Z",
			"2026-01-13T10:05:43.5Z", "2026-01-13T10:05:43.999999Z", "2026-01-13T10:05:44.000001Z", "9999-12-31T23:59:59.999999Z",
		}, got); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
	})
}
