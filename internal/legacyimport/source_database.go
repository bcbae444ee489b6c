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
	"github.com/jackc/pgx/v5/pgtype"

	"portfolio/db"
	"portfolio/internal/auth"
)

// DatabaseURL is the URL of the database of the legacy system. The zero value is no
// URL.
type DatabaseURL struct {
	config *pgx.ConnConfig
	text   string
}

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
	*u = DatabaseURL{config, string(text)}
	return nil
}

// IsZero reports whether there is no URL.
func (u DatabaseURL) IsZero() bool { return u.config == nil }

// String returns the URL without its password and parameters.
func (u DatabaseURL) String() string {
	if u.config == nil {
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
	tokens  map[string]bool // keys of those that were read
}

// openDatabase connects to a database and takes a snapshot of it.
func openDatabase(ctx context.Context, url DatabaseURL, mapping Mapping) (*database, error) {
	d := &database{url: url, mapping: mapping, tokens: map[string]bool{}}
	err := d.renew(ctx)
	if err == nil {
		err = d.checkMapping(ctx)
	}
	if err != nil {
		d.close(ctx)
		return nil, err
	}
	return d, nil
}

// renew takes a new snapshot.
func (d *database) renew(ctx context.Context) error {
	d.close(ctx)
	config := d.url.config.Copy()
	if config.ConnectTimeout == 0 {
		config.ConnectTimeout = connectTimeout
	}
	conn, err := pgx.ConnectConfig(ctx, config)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("connect to the legacy database %s: %s", d.url, reason(err))
	}
	d.conn = conn
	for _, statement := range []string{ // which poolers accept too
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

// reason returns what a server said, or what is wrong with the connection, without
// the text of the statement or the URL.
func reason(err error) string {
	if refused, ok := errors.AsType[*pgconn.PgError](err); ok {
		return refused.Message
	}
	if inner, ok := errors.AsType[*pgconn.ConnectError](err); ok {
		return inner.Unwrap().Error()
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

// The statements. $1 is the key after which a page begins, or a list of keys.
func (d *database) selectUsers() string {
	return "SELECT " + d.mapping.columns("users", "id:bigint", "username:text", "is_active:boolean", "is_staff:boolean", "is_admin:boolean", "created_at:timestamptz") +
		d.fromPage("users")
}

func (d *database) selectCodes() string {
	userID := d.mapping.column("t", "permissions.user_id")
	return "SELECT " + d.mapping.columns("permissions", "user_id:bigint", "code:text") + " FROM " + d.mapping.table("permissions") +
		" AS t WHERE " + userID + " = ANY($1::bigint[]) ORDER BY 1, 2"
}

func (d *database) selectTokens() string {
	key := d.mapping.column("t", "tokens.key")
	return "SELECT " + d.mapping.columns("tokens", "key:text", "user_id:bigint", "created_at:timestamptz") + " FROM " + d.mapping.table("tokens") +
		" AS t WHERE " + key + " > $1::text ORDER BY " + key + " LIMIT " + strconv.Itoa(pageRows)
}

func (d *database) selectPortfolios() string {
	return "SELECT " + d.mapping.columns("portfolios", "id:bigint", "name:text", "created_at:timestamptz", "updated_at:timestamptz") + d.fromPage("portfolios")
}

func (d *database) linkColumns() string {
	return "SELECT " + d.mapping.columns("links", "id:bigint", "portfolio_id:bigint", "image_id:bigint", "name:text", "url:text", "description:text", "created_at:timestamptz", "updated_at:timestamptz")
}

func (d *database) imageColumns() string {
	return "SELECT " + d.mapping.columns("images", "id:bigint", "type:text", "name:text", "path:text", "size:bigint", "width:bigint", "height:bigint", "mode:text", "created_at:timestamptz")
}

func (d *database) selectImages() string { return d.imageColumns() + d.fromKeys("images") }

// selectUnusedImages selects images that no link uses.
func (d *database) selectUnusedImages() string {
	return d.imageColumns() + " FROM " + d.mapping.table("images") + " AS t WHERE " + d.mapping.column("t", "images.id") + " > $1::bigint AND " + d.isUnused() + d.orderPage("images")
}

func (d *database) isUnused() string {
	return "NOT EXISTS (SELECT 1 FROM " + d.mapping.table("links") + " AS l WHERE " + d.mapping.column("l", "links.image_id") + " = " + d.mapping.column("t", "images.id") + ")"
}

func (d *database) selectThumbnails() string {
	return "SELECT " + d.mapping.columns("thumbnails", "id:bigint", "image_id:bigint", "path:text", "size:bigint") + " FROM " + d.mapping.table("thumbnails") +
		" AS t WHERE " + d.mapping.column("t", "thumbnails.image_id") + " = ANY($1::bigint[]) ORDER BY 2, 1"
}

func (d *database) fromPage(table string) string {
	return " FROM " + d.mapping.table(table) + " AS t WHERE " + d.mapping.column("t", table+".id") + " > $1::bigint" + d.orderPage(table)
}

func (d *database) orderPage(table string) string {
	return " ORDER BY " + d.mapping.column("t", table+".id") + " LIMIT " + strconv.Itoa(pageRows)
}

func (d *database) fromKeys(table string) string {
	id := d.mapping.column("t", table+".id")
	return " FROM " + d.mapping.table(table) + " AS t WHERE " + id + " = ANY($1::bigint[]) ORDER BY " + id
}

// checkMapping prepares each statement, so that a wrong mapping is found before
// anything is moved.
func (d *database) checkMapping(ctx context.Context) error {
	for _, c := range []struct{ table, statement string }{
		{"users", d.selectUsers()}, {"permissions", d.selectCodes()}, {"tokens", d.selectTokens()}, {"portfolios", d.selectPortfolios()},
		{"links", d.linkColumns() + d.fromPage("links")}, {"images", d.selectImages()}, {"thumbnails", d.selectThumbnails()},
	} {
		if !d.mapping.has(c.table) {
			continue
		}
		if _, err := d.conn.Prepare(ctx, "", c.statement); err != nil {
			return fmt.Errorf("the mapping does not fit the legacy database: %s: %s; print the mapping with --print-mapping, correct it and give it with --mapping", c.table, reason(err))
		}
	}
	return nil
}

func (d *database) total(ctx context.Context) (int, error) {
	total := 0
	for _, table := range []string{"users", "tokens", "portfolios", "links", "images"} {
		if !d.mapping.has(table) {
			continue
		}
		statement, count := "SELECT count(*) FROM "+d.mapping.table(table)+" AS t", 0
		if table == "images" {
			statement += " WHERE " + d.isUnused()
		}
		if err := d.conn.QueryRow(ctx, statement).Scan(&count); err != nil {
			return 0, d.wrap(err)
		}
		total += count
	}
	return total, nil
}

func (d *database) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		for _, part := range []struct {
			table, after string
			page         func(context.Context, string, *batch) (string, error)
		}{
			{"users", first, d.users}, {"tokens", "", d.tokenPage}, {"portfolios", first, d.portfolios},
			{"links", first, d.links}, {"images", first, d.unusedImages},
		} {
			for after := part.after; d.mapping.has(part.table); {
				b := new(batch)
				last, err := part.page(ctx, after, b)
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
				after = last
			}
		}
	}
}

// first is before all ids.
var first = formatID(math.MinInt64)

// read reads rows until they have pageBytes, and returns the number of rows. The
// function scan returns the size of a row.
func (d *database) read(ctx context.Context, statement string, arg any, scan func(pgx.Rows) (int, error)) (count int, err error) {
	rows, err := d.conn.Query(ctx, statement, arg)
	if err != nil {
		return 0, err
	}
	defer rows.Close()
	for size := 0; size < pageBytes && rows.Next(); count++ {
		added, err := scan(rows)
		if err != nil {
			return 0, err
		}
		size += added
	}
	rows.Close()
	return count, rows.Err()
}

// readPage reads a page of rows with ids after one, and returns the last one, "" if
// there are none.
func (d *database) readPage(ctx context.Context, statement, after string, b *batch, scan func(pgx.Rows) (id int64, size int, err error)) (last string, err error) {
	id, err := strconv.ParseInt(after, 10, 64)
	if err != nil {
		return "", err
	}
	b.steps, err = d.read(ctx, statement, id, func(rows pgx.Rows) (size int, err error) {
		id, size, err = scan(rows)
		return size, err
	})
	if b.steps > 0 {
		last = formatID(id)
	}
	return last, err
}

func (d *database) users(ctx context.Context, after string, b *batch) (string, error) {
	byID := map[int64]*db.User{}
	last, err := d.readPage(ctx, d.selectUsers(), after, b, func(rows pgx.Rows) (int64, int, error) {
		var (
			user    db.User
			created pgtype.Timestamptz
		)
		err := rows.Scan(&user.ID, &user.Username, &user.IsActive, &user.IsStaff, &user.IsAdmin, &created)
		user.CreatedAt = db.Time{Time: created.Time.UTC()}
		check := checks{}
		check.id("id", user.ID)
		check.text("username", &user.Username)
		check.time("created_at", created)
		if check.add(b, db.UserRow, formatID(user.ID)) {
			byID[user.ID], b.users = &user, append(b.users, &user)
		}
		return user.ID, len(user.Username), err
	})
	if err != nil || len(b.users) == 0 || !d.mapping.has("permissions") {
		return last, err
	}
	ids := make([]int64, len(b.users))
	for i, user := range b.users {
		ids[i] = user.ID
	}
	rows, err := d.conn.Query(ctx, d.selectCodes(), ids)
	if err != nil {
		return "", err
	}
	var (
		userID int64
		text   *string
	)
	_, err = pgx.ForEachRow(rows, []any{&userID, &text}, func() error {
		if text == nil {
			return nil
		}
		if code, err := strconv.ParseInt(*text, 10, 32); err == nil {
			user := byID[userID]
			user.Codes = append(user.Codes, int(code))
		}
		return nil
	})
	for _, user := range b.users {
		slices.Sort(user.Codes)
		user.Codes = slices.Compact(user.Codes)
	}
	return last, err
}

func (d *database) tokenPage(ctx context.Context, after string, b *batch) (last string, err error) {
	b.steps, err = d.read(ctx, d.selectTokens(), after, func(rows pgx.Rows) (int, error) {
		var (
			token   db.Token
			created pgtype.Timestamptz
		)
		err := rows.Scan(&last, &token.UserID, &created)
		hash := auth.HashKey(last)
		token.KeyHash, token.CreatedAt = hash[:], db.Time{Time: created.Time.UTC()}
		check := checks{}
		check.id("user_id", token.UserID)
		if !created.Valid {
			token.CreatedAt = db.Now()
		} else {
			check.time("created_at", created)
		}
		if invalid := auth.CheckIssuedKey(last); invalid != nil {
			check.fail("key", invalid.Error())
		}
		d.tokens[tokenKey(hash[:])] = true
		if check.add(b, db.TokenRow, tokenName(token.UserID)) {
			b.tokens = append(b.tokens, &token)
		}
		return len(last), err
	})
	return last, err
}

func (d *database) portfolios(ctx context.Context, after string, b *batch) (string, error) {
	return d.readPage(ctx, d.selectPortfolios(), after, b, func(rows pgx.Rows) (int64, int, error) {
		var (
			portfolio        db.Portfolio
			created, updated pgtype.Timestamptz
		)
		err := rows.Scan(&portfolio.ID, &portfolio.Name, &created, &updated)
		portfolio.CreatedAt, portfolio.UpdatedAt = db.Time{Time: created.Time.UTC()}, db.Time{Time: updated.Time.UTC()}
		check := checks{}
		check.id("id", portfolio.ID)
		check.text("name", &portfolio.Name)
		check.time("created_at", created)
		check.time("updated_at", updated)
		if check.add(b, db.PortfolioRow, formatID(portfolio.ID)) {
			b.portfolios = append(b.portfolios, &portfolio)
		}
		return portfolio.ID, len(portfolio.Name), err
	})
}

func (d *database) links(ctx context.Context, after string, b *batch) (string, error) {
	last, err := d.readPage(ctx, d.linkColumns()+d.fromPage("links"), after, b, func(rows pgx.Rows) (int64, int, error) { return scanOldLink(rows, b) })
	if err != nil {
		return "", err
	}
	return last, d.addImages(ctx, b)
}

func scanOldLink(rows pgx.Rows, b *batch) (id int64, size int, err error) {
	var (
		row              db.PortfolioLink
		created, updated pgtype.Timestamptz
	)
	err = rows.Scan(&row.ID, &row.PortfolioID, &row.ImageID, &row.Name, &row.URL, &row.Description, &created, &updated)
	row.CreatedAt, row.UpdatedAt = db.Time{Time: created.Time.UTC()}, db.Time{Time: updated.Time.UTC()}
	check := checks{}
	check.id("id", row.ID)
	check.id("portfolio_id", row.PortfolioID)
	if row.ImageID != nil {
		check.id("image_id", *row.ImageID)
	}
	check.text("name", &row.Name)
	check.text("url", row.URL)
	check.text("description", row.Description)
	check.time("created_at", created)
	check.time("updated_at", updated)
	if check.add(b, db.LinkRow, formatID(row.ID)) {
		b.links = append(b.links, &link{id: row.ID, portfolioID: row.PortfolioID, row: &row})
	}
	return row.ID, len(row.Name) + textLen(row.URL) + textLen(row.Description), err
}

func textLen(text *string) int {
	if text == nil {
		return 0
	}
	return len(*text)
}

// addImages reads the images of the links of a batch.
func (d *database) addImages(ctx context.Context, b *batch) error {
	var ids []int64
	for _, link := range b.links {
		if link.row != nil && link.row.ImageID != nil {
			ids = append(ids, *link.row.ImageID)
		}
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if len(ids) == 0 {
		return nil
	}
	rows, err := d.conn.Query(ctx, d.selectImages(), ids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if _, _, err := scanOldImage(rows, b); err != nil {
			return err
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return err
	}
	if err := d.addThumbnails(ctx, b); err != nil {
		return err
	}
	byID := map[int64]*db.Image{}
	for _, image := range b.images {
		byID[image.ID] = image
	}
	for _, link := range b.links {
		if link.row != nil && link.row.ImageID != nil {
			link.row.ImageData = byID[*link.row.ImageID]
		}
	}
	return nil
}

func (d *database) unusedImages(ctx context.Context, after string, b *batch) (string, error) {
	last, err := d.readPage(ctx, d.selectUnusedImages(), after, b, func(rows pgx.Rows) (int64, int, error) { return scanOldImage(rows, b) })
	if err != nil {
		return "", err
	}
	return last, d.addThumbnails(ctx, b)
}

func scanOldImage(rows pgx.Rows, b *batch) (id int64, size int, err error) {
	var (
		image         db.Image
		width, height *int64
		created       pgtype.Timestamptz
	)
	err = rows.Scan(&image.ID, &image.Type, &image.Name, &image.Path, &image.Size, &width, &height, &image.Mode, &created)
	check := checks{}
	check.id("id", image.ID)
	check.text("type", &image.Type)
	check.text("name", &image.Name)
	check.text("path", (*string)(&image.Path))
	check.text("mode", image.Mode)
	image.Width, image.Height = check.number("width", width), check.number("height", height)
	if created.Valid {
		check.time("created_at", created)
		image.CreatedAt = db.Time{Time: created.Time.UTC()}
	}
	if check.add(b, db.ImageRow, formatID(image.ID)) {
		b.images = append(b.images, &image)
	}
	return image.ID, len(image.Name) + len(image.Path), err
}

func (d *database) addThumbnails(ctx context.Context, b *batch) error {
	byID, ids := map[int64]*db.Image{}, make([]int64, len(b.images))
	for i, image := range b.images {
		byID[image.ID], ids[i] = image, image.ID
	}
	if len(ids) == 0 {
		return nil
	}
	rows, err := d.conn.Query(ctx, d.selectThumbnails(), ids)
	if err != nil {
		return err
	}
	var (
		thumbnail db.Thumbnail
		size      *int64
	)
	_, err = pgx.ForEachRow(rows, []any{&thumbnail.ID, &thumbnail.ImageID, &thumbnail.Path, &size}, func() error {
		check := checks{}
		check.id("thumbnail id", thumbnail.ID)
		check.text("thumbnail path", (*string)(&thumbnail.Path))
		thumbnail.Size = check.number("thumbnail size", size)
		if check.add(b, db.ImageRow, formatID(thumbnail.ImageID)) {
			image := byID[thumbnail.ImageID]
			image.Thumbnails = append(image.Thumbnails, new(thumbnail))
		}
		return nil
	})
	return err
}

// again reads links in a new snapshot.
func (d *database) again(ctx context.Context, links []linkID) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		if err := d.renew(ctx); err != nil {
			yield(nil, err)
			return
		}
		for chunk := range slices.Chunk(links, pageRows) {
			b, err := d.linksByID(ctx, chunk)
			if !yield(b, d.wrap(err)) || err != nil {
				return
			}
		}
	}
}

func (d *database) linksByID(ctx context.Context, links []linkID) (*batch, error) {
	b, ids := new(batch), make([]int64, len(links))
	for i, link := range links {
		ids[i] = link.id
	}
	rows, err := d.conn.Query(ctx, d.linkColumns()+d.fromKeys("links"), ids)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		if _, _, err := scanOldLink(rows, b); err != nil {
			return nil, err
		}
	}
	rows.Close()
	if err := rows.Err(); err != nil {
		return nil, err
	}
	return b, d.addImages(ctx, b)
}

func (d *database) missing(ctx context.Context, kind db.RowKind, keys []string) ([]string, error) {
	table := string(kind) + "s"
	if !d.mapping.has(table) {
		return nil, nil
	}
	if kind == db.TokenRow {
		return slices.DeleteFunc(keys, func(key string) bool { return d.tokens[key] }), nil
	}
	ids := make([]int64, len(keys))
	for i, key := range keys {
		id, err := strconv.ParseInt(key, 10, 64)
		if err != nil {
			return nil, err
		}
		ids[i] = id
	}
	rows, err := d.conn.Query(ctx, "SELECT "+d.mapping.columns(table, "id:text")+d.fromKeys(table), ids)
	if err != nil {
		return nil, d.wrap(err)
	}
	found := map[string]bool{}
	var id string
	_, err = pgx.ForEachRow(rows, []any{&id}, func() error { found[id] = true; return nil })
	return slices.DeleteFunc(keys, func(key string) bool { return found[key] }), d.wrap(err)
}
