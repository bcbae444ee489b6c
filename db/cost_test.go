package db

import (
	"database/sql"
	"path/filepath"
	"testing"
)

// BenchmarkSQLite sets the look-up of a link beside the least that SQLite
// asks of a Go program: a prepared statement, and its columns as they come.
func BenchmarkSQLite(b *testing.B) {
	path := filepath.Join(b.TempDir(), "bench.db")
	database, err := Open(b.Context(), "sqlite:"+path)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = database.Close() }()
	if _, err := database.Migrate(b.Context()); err != nil {
		b.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO portfolios (id, name) VALUES (1, 'one')`,
		`INSERT INTO images (id, type, name, path, size, width, height, mode) VALUES (6, 'image', 'technology', 'core_media/2025/12/02/technology.png', 5123, 225, 225, 'P')`,
		`INSERT INTO thumbnails (image_id, path, size) VALUES (6, 'a_64x64.jpg', 64), (6, 'a_128x128.jpg', 128), (6, 'a_512x512.jpg', 512), (6, 'a_1080x1080.jpg', 1080)`,
		`INSERT INTO portfolio_links (id, portfolio_id, image_id, name, url, description) VALUES (4, 1, 6, 'link', 'https://example.com/', 'described')`,
	} {
		if _, err := database.write.ExecContext(b.Context(), statement); err != nil {
			b.Fatal(err)
		}
	}
	b.Run("bare", func(b *testing.B) {
		bare, err := sql.Open("sqlite", "file:"+path)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = bare.Close() }()
		statement, err := bare.Prepare(database.linksByIDs[0].text)
		if err != nil {
			b.Fatal(err)
		}
		defer func() { _ = statement.Close() }()
		rows, err := statement.Query(4)
		if err != nil {
			b.Fatal(err)
		}
		names, err := rows.Columns()
		if err != nil {
			b.Fatal(err)
		}
		_ = rows.Close()
		columns := make([]any, len(names))
		into := make([]any, len(columns))
		for i := range columns {
			into[i] = &columns[i]
		}
		b.ReportAllocs()
		for b.Loop() {
			if err := statement.QueryRow(4).Scan(into...); err != nil {
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
