package db_test

import (
	"database/sql"
	"strings"
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

func loadFixtures(b *testing.B, dsn string) *db.DB {
	b.Helper()
	dbtest.LoadFile(b, dsn, "../compat/testdata/fixtures.json")
	return dbtest.Open(b, dsn)
}

// BenchmarkSQLite compares the lookup of a link with the minimum for SQLite in
// Go: a prepared statement that scans its columns unconverted.
func BenchmarkSQLite(b *testing.B) {
	dsn := dbtest.SQLite(b)
	database := loadFixtures(b, dsn)
	b.Run("bare", func(b *testing.B) {
		bare, err := sql.Open("sqlite", "file:"+strings.TrimPrefix(dsn, "sqlite:"))
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = bare.Close() }()
		statement, err := bare.Prepare(database.LinkQuery())
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = statement.Close() }()
		columns := make([]any, 21)
		args := make([]any, len(columns))
		for i := range columns {
			args[i] = &columns[i]
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := statement.QueryRow(4).Scan(args...); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("link", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := database.PortfolioLink(b.Context(), nil, 4); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// BenchmarkPostgres measures the lookup of a link by one client and by many.
func BenchmarkPostgres(b *testing.B) {
	database := loadFixtures(b, dbtest.Postgres(b))
	b.Run("lone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := database.PortfolioLink(b.Context(), nil, 4); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				if _, err := database.PortfolioLink(b.Context(), nil, 4); err != nil {
					b.Error(err)
				}
			}
		})
	})
}
