package db_test

import (
	"testing"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// BenchmarkPostgres measures the lookup of a link, alone and by many clients at
// once.
func BenchmarkPostgres(b *testing.B) {
	dsn := dbtest.Postgres(b)
	dbtest.LoadFile(b, dsn, "../compat/testdata/fixtures.json")
	database := dbtest.Open(b, dsn)
	lookUp := func(b *testing.B, database *db.DB) {
		if _, err := database.PortfolioLink(b.Context(), nil, 4); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("lone", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			lookUp(b, database)
		}
	})
	b.Run("parallel", func(b *testing.B) {
		b.ReportAllocs()
		b.SetParallelism(64)
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				lookUp(b, database)
			}
		})
	})
}
