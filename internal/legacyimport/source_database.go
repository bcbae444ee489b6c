package legacyimport

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"portfolio/db"
)

// DatabaseURL is the URL of the database of the legacy system. The zero value is no
// URL.
type DatabaseURL struct{ config *pgx.ConnConfig }

// UnmarshalText implements encoding.TextUnmarshaler. No error contains the password.
func (u *DatabaseURL) UnmarshalText(text []byte) error {
	switch scheme, _, _ := strings.Cut(string(text), ":"); scheme {
	case "postgres", "postgresql":
	case "mysql", "mariadb", "oracle", "sqlite", "sqlite3", "mssql":
		return fmt.Errorf("only PostgreSQL can be read, not %s: read the endpoint instead, with --url", scheme)
	default:
		return errors.New("not a postgres:// URL")
	}
	config, err := pgx.ParseConfig(string(text))
	if err != nil {
		return errors.New("not a PostgreSQL URL")
	}
	if err := db.CheckEncoded(string(text), &config.Config); err != nil {
		return err
	}
	u.config = config
	return nil
}

// IsZero reports whether there is no URL.
func (u DatabaseURL) IsZero() bool { return u.config == nil }

// String returns the URL without its password and parameters.
func (u DatabaseURL) String() string {
	if u.IsZero() {
		return ""
	}
	return "postgres://" + u.config.Host + "/" + u.config.Database
}

const (
	pageRows         = 500
	pageBytes        = 8 << 20 // of the texts of a page
	statementTimeout = "60000" // milliseconds
	connectTimeout   = 10 * time.Second
)

// database is a legacy system that is read from its database.
type database struct {
	url     DatabaseURL
	mapping Mapping
	conn    *pgx.Conn
	tokens  map[string]bool // keys of the tokens in the database
}

// openDatabase connects to a database and takes a snapshot of it.
func openDatabase(ctx context.Context, url DatabaseURL, mapping Mapping) (*database, error) {
	d := &database{url: url, mapping: mapping, tokens: map[string]bool{}}
	err := d.connect(ctx)
	if err == nil {
		err = d.checkMapping(ctx)
	}
	if err != nil {
		d.close(ctx)
		return nil, err
	}
	return d, nil
}

// connect takes a new snapshot.
func (d *database) connect(ctx context.Context) error {
	d.close(ctx)
	config := d.url.config.Copy()
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil && ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("connect to the legacy database %s: %s", d.url, reason(err))
	}
	d.conn = conn
	for _, statement := range []string{ // poolers accept these too
		"BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
		"SET LOCAL statement_timeout = " + statementTimeout,
		"SET LOCAL idle_in_transaction_session_timeout = 0",
		"SET LOCAL timezone = 'UTC'",
		"SET LOCAL client_encoding = 'UTF8'",
		"SET LOCAL datestyle = 'ISO'", // keeps the order of day and month
		"SET LOCAL standard_conforming_strings = on",
	} {
		if _, err := conn.Exec(ctx, statement); err != nil {
			return d.wrap(err)
		}
	}
	return nil
}

// reason returns the message of a server or of a failed connection. It contains neither
// the statement nor the URL.
func reason(err error) string {
	if pgErr, ok := errors.AsType[*pgconn.PgError](err); ok {
		return pgErr.Message
	}
	if connectErr, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return connectErr.Unwrap().Error()
	}
	return err.Error()
}

func (d *database) wrap(err error) error {
	if err == nil || errors.Is(err, context.Canceled) {
		return err
	}
	return fmt.Errorf("the legacy database: %s", reason(err))
}

// close ends the snapshot, also if ctx is canceled.
func (d *database) close(ctx context.Context) {
	if d.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = d.conn.Close(ctx)
	d.conn = nil
}

// isUnused returns the SQL condition that no link uses an image.
func (d *database) isUnused() string {
	m := d.mapping
	return "NOT EXISTS (SELECT 1 FROM " + m.table("links") + " AS l WHERE " + m.column("l", "links.image_id") + " = " + m.column("t", "images.id") + ")"
}

// checkMapping prepares each statement, so that it finds a wrong mapping before the
// import changes anything.
func (d *database) checkMapping(ctx context.Context) error {
	m := d.mapping
	for _, c := range []struct{ table, sql string }{
		{"users", userTable.page(m, "")}, {"permissions", permissionTable.related(m, "user_id")}, {"tokens", tokenTable(nil).page(m, "")},
		{"portfolios", portfolioTable.page(m, "")}, {"links", linkTable.page(m, "")}, {"images", imageTable.related(m, "id")},
		{"thumbnails", thumbnailTable.related(m, "image_id")},
	} {
		if !m.has(c.table) {
			continue
		}
		if _, err := d.conn.Prepare(ctx, "", c.sql); err != nil {
			return fmt.Errorf("the mapping does not match the legacy database: %s: %s; print the mapping with --print-mapping, correct it, and pass it with --mapping", c.table, reason(err))
		}
	}
	return nil
}

func (d *database) total(ctx context.Context) (int, error) {
	total := 0
	for _, part := range d.parts() {
		if !d.mapping.has(part.table) {
			continue
		}
		sql, count := "SELECT count(*) FROM "+d.mapping.table(part.table)+" AS t", 0
		if part.table == "images" {
			sql += " WHERE " + d.isUnused()
		}
		if err := d.conn.QueryRow(ctx, sql).Scan(&count); err != nil {
			return 0, d.wrap(err)
		}
		total += count
	}
	return total, nil
}

// part is a table that is read in pages.
type part struct {
	table, first string // first precedes all keys
	// readPage reads a page after the cursor. It returns the last key, or "" if there are no rows.
	readPage func(ctx context.Context, b *batch, cursor string) (last string, err error)
}

func (d *database) parts() []part {
	firstID := formatID(math.MinInt64)
	return []part{
		{"users", firstID, d.users}, {"tokens", "", d.tokenPage}, {"portfolios", firstID, d.portfolios},
		{"links", firstID, d.links}, {"images", firstID, d.unusedImages},
	}
}

func (d *database) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		for _, part := range d.parts() {
			for key := part.first; d.mapping.has(part.table); {
				b := new(batch)
				last, err := part.readPage(ctx, b, key)
				if err != nil {
					yield(nil, d.wrap(err))
					return
				}
				if last == "" {
					break
				}
				if !yield(b, nil) {
					return
				}
				key = last
			}
		}
	}
}

func (d *database) users(ctx context.Context, b *batch, cursor string) (string, error) {
	last, err := userTable.readPage(ctx, d, b, "", cursor, func(user *db.User) { b.users = append(b.users, user) })
	if err != nil || !d.mapping.has("permissions") {
		return last, err
	}
	ids, byID := idsOf(b.users)
	err = permissionTable.readRelated(ctx, d, b, "user_id", ids, func(p *permission) {
		if p.code == nil {
			return
		}
		if code, err := strconv.ParseInt(*p.code, 10, 32); err == nil {
			user := byID[p.userID]
			user.Codes = append(user.Codes, int(code))
		}
	})
	for _, user := range b.users {
		slices.Sort(user.Codes)
		user.Codes = slices.Compact(user.Codes)
	}
	return last, err
}

func (d *database) tokenPage(ctx context.Context, b *batch, cursor string) (string, error) {
	return tokenTable(d.tokens).readPage(ctx, d, b, "", cursor, func(token *db.Token) { b.tokens = append(b.tokens, token) })
}

func (d *database) portfolios(ctx context.Context, b *batch, cursor string) (string, error) {
	return portfolioTable.readPage(ctx, d, b, "", cursor, func(portfolio *db.Portfolio) { b.portfolios = append(b.portfolios, portfolio) })
}

func (d *database) links(ctx context.Context, b *batch, cursor string) (string, error) {
	last, err := linkTable.readPage(ctx, d, b, "", cursor, b.addLink)
	if err != nil {
		return "", err
	}
	return last, d.addImages(ctx, b)
}

func (b *batch) addLink(row *db.PortfolioLink) { b.links = append(b.links, &link{row: row}) }
func (b *batch) addImage(image *db.Image)      { b.images = append(b.images, image) }

// addImages reads the images of the links of a batch.
func (d *database) addImages(ctx context.Context, b *batch) error {
	var ids []int64
	for _, link := range b.links {
		if link.row.ImageID != nil {
			ids = append(ids, *link.row.ImageID)
		}
	}
	slices.Sort(ids)
	if err := imageTable.readRelated(ctx, d, b, "id", slices.Compact(ids), b.addImage); err != nil {
		return err
	}
	if err := d.addThumbnails(ctx, b); err != nil {
		return err
	}
	_, byID := idsOf(b.images)
	for _, link := range b.links {
		if link.row.ImageID != nil {
			link.row.ImageData = byID[*link.row.ImageID]
		}
	}
	return nil
}

func (d *database) unusedImages(ctx context.Context, b *batch, cursor string) (string, error) {
	last, err := imageTable.readPage(ctx, d, b, " AND "+d.isUnused(), cursor, b.addImage)
	if err != nil {
		return "", err
	}
	return last, d.addThumbnails(ctx, b)
}

func (d *database) addThumbnails(ctx context.Context, b *batch) error {
	ids, byID := idsOf(b.images)
	return thumbnailTable.readRelated(ctx, d, b, "image_id", ids, func(thumbnail *db.Thumbnail) {
		image := byID[thumbnail.ImageID]
		image.Thumbnails = append(image.Thumbnails, thumbnail)
	})
}

// retry reads links in a new snapshot.
func (d *database) retry(ctx context.Context, links []int64) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		if err := d.connect(ctx); err != nil {
			yield(nil, err)
			return
		}
		for ids := range slices.Chunk(links, pageRows) {
			b := new(batch)
			err := linkTable.readRelated(ctx, d, b, "id", ids, b.addLink)
			if err == nil {
				err = d.addImages(ctx, b)
			}
			if !yield(b, d.wrap(err)) || err != nil {
				return
			}
		}
	}
}

func (d *database) missing(ctx context.Context, kind db.RowKind, keys []string) ([]string, error) {
	table := string(kind) + "s"
	if !d.mapping.has(table) {
		return nil, nil
	}
	existing := d.tokens
	if kind != db.TokenRow {
		id := d.mapping.column("t", table+".id")
		rows, err := d.conn.Query(ctx, "SELECT CAST("+id+" AS text) FROM "+d.mapping.table(table)+" AS t WHERE "+id+" = ANY($1::text[]::bigint[])", keys)
		if err != nil {
			return nil, d.wrap(err)
		}
		existing = map[string]bool{}
		var key string
		if _, err = pgx.ForEachRow(rows, []any{&key}, func() error { existing[key] = true; return nil }); err != nil {
			return nil, d.wrap(err)
		}
	}
	return slices.DeleteFunc(keys, func(key string) bool { return existing[key] }), nil
}
