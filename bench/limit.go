package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql"
	"net/http"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgxpool"
	_ "modernc.org/sqlite" // the driver named "sqlite"
)

// The limit is the minimum of work for Go and a database. One prepared statement checks the
// token and builds the whole body. The server parses, maps and encodes nothing. Requests of
// /floor measure the cost of HTTP: the response is fixed bytes of the same size.

const (
	linkJSON = `json_build_object('id', l.id, 'name', l.name, 'url', l.url,
  'image_data', CASE WHEN i.id IS NULL THEN NULL ELSE json_build_object(
    'id', i.id, 'type', i.type, 'name', i.name, 'size', i.size, 'human_readable_size', round(i.size / 1024.0, 2) || ' KB',
    'f', 'http://localhost:8000/media/' || i.path, 'width', i.width, 'height', i.height, 'mode', i.mode,
    'thumbnails', ((SELECT json_agg(json_build_object('id', t.id, 'f', 'http://localhost:8000/media/' || t.path, 'size', t.size) ORDER BY t.id)
      FROM thumbnails t WHERE t.image_id = i.id))) END,
  'description', l.description, 'created_at', l.created_at, 'updated_at', l.updated_at)`
	allowed = `(SELECT u.is_admin OR (u.is_staff AND EXISTS (SELECT 1 FROM user_permissions p WHERE p.user_id = u.id AND p.code = 4242))
  FROM tokens t JOIN users u ON u.id = t.user_id WHERE t.key_hash = $1 AND u.is_active)`
	oneLink = `SELECT CAST(` + linkJSON + ` AS text) FROM portfolio_links l LEFT JOIN images i ON i.id = l.image_id
  WHERE l.portfolio_id = $2 AND l.id = $3 AND ` + allowed
	manyLinks = `SELECT CAST(json_agg(j) AS text) FROM (SELECT ` + linkJSON + ` j FROM portfolio_links l LEFT JOIN images i ON i.id = l.image_id
  WHERE l.portfolio_id = $2 AND ` + allowed + ` ORDER BY l.id LIMIT $3) s`
)

// forSQLite replaces the functions by the functions of SQLite, to which the results of
// subqueries are text.
var forSQLite = strings.NewReplacer(
	"'thumbnails', (", "'thumbnails', json(",
	"json_agg(j)", "json_group_array(json(j))",
	"json_build_object", "json_object", "json_agg", "json_group_array",
)

// query runs a statement that returns one text.
type query func(ctx context.Context, args ...any) (string, error)

// prepare makes a statement ready.
type prepare func(statement string) (query, error)

func onPostgres(database string) (prepare, error) {
	pool, err := pgxpool.New(context.Background(), database+"&pool_max_conns=16&pool_min_conns=16")
	return func(statement string) (query, error) {
		return func(ctx context.Context, args ...any) (text string, err error) {
			err = pool.QueryRow(ctx, statement, args...).Scan(&text)
			return text, err
		}, nil
	}, err
}

func onSQLite(path string) (prepare, error) {
	connections, err := sql.Open("sqlite", path)
	if err != nil {
		return nil, err
	}
	connections.SetMaxOpenConns(sqliteReaders)
	connections.SetMaxIdleConns(sqliteReaders)
	return func(statement string) (query, error) {
		prepared, err := connections.Prepare(forSQLite.Replace(statement))
		return func(ctx context.Context, args ...any) (text string, err error) {
			err = prepared.QueryRowContext(ctx, args...).Scan(&text)
			return text, err
		}, err
	}, nil
}

const sqliteReaders = 4 // as many as the server has

func serveLimit(address, database string) error {
	open := onPostgres
	path, isSQLite := strings.CutPrefix(database, "sqlite:")
	if isSQLite {
		database, open = path, onSQLite
	}
	prepare, err := open(database)
	if err != nil {
		return err
	}
	for pattern, statement := range map[string]string{
		"GET /api/portfolios/{portfolio}/links/{n}": oneLink,
		"GET /many/{portfolio}/{n}":                 manyLinks,
	} {
		query, err := prepare(statement)
		if err != nil {
			return err
		}
		http.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			key := sha256.Sum256([]byte(strings.TrimPrefix(r.Header.Get("Authorization"), "Token ")))
			portfolio, _ := strconv.ParseInt(r.PathValue("portfolio"), 10, 64)
			n, _ := strconv.ParseInt(r.PathValue("n"), 10, 64)
			body, err := query(r.Context(), key[:], portfolio, n)
			if err != nil {
				http.Error(w, err.Error(), http.StatusInternalServerError)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(body))
		})
	}
	fixed := bytes.Repeat([]byte("x"), 1100)
	http.HandleFunc("GET /floor/{portfolio}/{n}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(fixed)
	})
	return http.ListenAndServe(address, nil)
}
