package legacyimport

import (
	"context"
	"math"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5/pgtype"

	"portfolio/db"
	"portfolio/internal/auth"
)

// table describes a table of the legacy database. Its problems name a row by kind and label,
// and a column by prefix and name.
type table[Row any] struct {
	name    string
	columns func(*Row) []column // columns that store their values in the row; the first is the key
	kind    db.RowKind
	label   func(*Row) string
	prefix  string
}

// column describes a column of a table.
type column struct {
	name, kind string
	value      any           // a pointer to the value
	check      func(*checks) // checks and converts the value; may be nil
}

func idColumn(name string, id *int64) column {
	return column{name, "bigint", id, func(c *checks) { c.id(name, *id) }}
}

func optionalIDColumn(name string, id **int64) column {
	return column{name, "bigint", id, func(c *checks) {
		if *id != nil {
			c.id(name, **id)
		}
	}}
}

func textColumn(name string, text *string) column {
	return column{name, "text", text, func(c *checks) { c.text(name, text) }}
}

func optionalTextColumn(name string, text **string) column {
	return column{name, "text", text, func(c *checks) { c.text(name, *text) }}
}

func numberColumn(name string, number **int) column {
	var value *int64
	return column{name, "bigint", &value, func(c *checks) { *number = c.number(name, value) }}
}

func timeColumn(name string, dest *db.Time) column {
	var value pgtype.Timestamptz
	return column{name, "timestamptz", &value, func(c *checks) {
		c.time(name, value)
		*dest = db.Time{Time: value.Time.UTC()}
	}}
}

// optionalTimeColumn describes a column that may be null. It stores ifNull for null.
func optionalTimeColumn(name string, dest *db.Time, ifNull db.Time) column {
	c := timeColumn(name, dest)
	check := c.check
	c.check = func(failures *checks) {
		if !c.value.(*pgtype.Timestamptz).Valid {
			*dest = ifNull
			return
		}
		check(failures)
	}
	return c
}

var userTable = table[db.User]{
	name: "users", kind: db.UserRow, label: idKey[*db.User],
	columns: func(u *db.User) []column {
		return []column{
			idColumn("id", &u.ID), textColumn("username", &u.Username), {"is_active", "boolean", &u.IsActive, nil},
			{"is_staff", "boolean", &u.IsStaff, nil}, {"is_admin", "boolean", &u.IsAdmin, nil}, timeColumn("created_at", &u.CreatedAt),
		}
	},
}

// permission is a permission code of a user. The code may be null.
type permission struct {
	userID int64
	code   *string
}

var permissionTable = table[permission]{
	name: "permissions", columns: func(p *permission) []column {
		return []column{{"user_id", "bigint", &p.userID, nil}, {"code", "text", &p.code, nil}}
	},
}

// tokenTable describes tokens. It adds the keys of all tokens to seen.
func tokenTable(seen map[string]bool) table[db.Token] {
	return table[db.Token]{
		name: "tokens", kind: db.TokenRow, label: func(t *db.Token) string { return tokenLabel(t.UserID) },
		columns: func(t *db.Token) []column {
			var key string
			return []column{
				{"key", "text", &key, func(c *checks) {
					hash := auth.HashKey(key)
					t.KeyHash, seen[tokenKey(hash[:])] = hash[:], true
					if err := auth.CheckIssuedKey(key); err != nil {
						c.fail("key", err.Error())
					}
				}},
				idColumn("user_id", &t.UserID), optionalTimeColumn("created_at", &t.CreatedAt, db.Now()),
			}
		},
	}
}

var portfolioTable = table[db.Portfolio]{
	name: "portfolios", kind: db.PortfolioRow, label: idKey[*db.Portfolio],
	columns: func(p *db.Portfolio) []column {
		return []column{idColumn("id", &p.ID), textColumn("name", &p.Name), timeColumn("created_at", &p.CreatedAt), timeColumn("updated_at", &p.UpdatedAt)}
	},
}

var linkTable = table[db.PortfolioLink]{
	name: "links", kind: db.LinkRow, label: idKey[*db.PortfolioLink],
	columns: func(l *db.PortfolioLink) []column {
		return []column{
			idColumn("id", &l.ID), idColumn("portfolio_id", &l.PortfolioID), optionalIDColumn("image_id", &l.ImageID), textColumn("name", &l.Name),
			optionalTextColumn("url", &l.URL), optionalTextColumn("description", &l.Description),
			timeColumn("created_at", &l.CreatedAt), timeColumn("updated_at", &l.UpdatedAt),
		}
	},
}

var imageTable = table[db.Image]{
	name: "images", kind: db.ImageRow, label: idKey[*db.Image],
	columns: func(i *db.Image) []column {
		return []column{
			idColumn("id", &i.ID), textColumn("type", &i.Type), textColumn("name", &i.Name), textColumn("path", (*string)(&i.Path)), {"size", "bigint", &i.Size, nil},
			numberColumn("width", &i.Width), numberColumn("height", &i.Height), optionalTextColumn("mode", &i.Mode), optionalTimeColumn("created_at", &i.CreatedAt, db.Time{}),
		}
	},
}

// thumbnailTable describes thumbnails. A problem with one is a problem of its image.
var thumbnailTable = table[db.Thumbnail]{
	name: "thumbnails", kind: db.ImageRow, label: func(t *db.Thumbnail) string { return formatID(t.ImageID) }, prefix: "thumbnail ",
	columns: func(t *db.Thumbnail) []column {
		return []column{idColumn("id", &t.ID), {"image_id", "bigint", &t.ImageID, nil}, textColumn("path", (*string)(&t.Path)), numberColumn("size", &t.Size)}
	},
}

// selectRows returns SQL that selects the columns of rows, and the key as text.
func (t table[Row]) selectRows(m Mapping) string {
	var columns []string
	for _, c := range t.columns(new(Row)) {
		columns = append(columns, "CAST("+m.column("t", t.name+"."+c.name)+" AS "+c.kind+")")
	}
	return "SELECT " + strings.Join(columns, ", ") + ", CAST(" + columns[0] + " AS text) FROM " + m.table(t.name) + " AS t WHERE "
}

// page returns SQL that selects rows whose key is greater than $1.
func (t table[Row]) page(m Mapping, condition string) string {
	first := t.columns(new(Row))[0]
	key := m.column("t", t.name+"."+first.name)
	return t.selectRows(m) + key + " > CAST($1::text AS " + first.kind + ")" + condition + " ORDER BY " + key + " LIMIT " + strconv.Itoa(pageRows)
}

// related returns SQL that selects the rows that have one of the IDs $1 in a column.
func (t table[Row]) related(m Mapping, name string) string {
	column := m.column("t", t.name+"."+name)
	return t.selectRows(m) + column + " = ANY($1::bigint[]) ORDER BY " + column + ", 1"
}

// read passes the valid rows of a statement to add. For each invalid row it adds a problem to
// the batch. It ends after maxBytes, and returns the number of rows and the last key.
func (t table[Row]) read(ctx context.Context, d *database, b *batch, sql string, arg any, maxBytes int, add func(*Row)) (count int, key string, err error) {
	rows, err := d.conn.Query(ctx, sql, arg)
	if err != nil {
		return 0, "", err
	}
	defer rows.Close()
	for size := 0; size < maxBytes && rows.Next(); count++ {
		row := new(Row)
		columns := t.columns(row)
		var values []any
		for _, c := range columns {
			values = append(values, c.value)
		}
		if err := rows.Scan(append(values, &key)...); err != nil {
			return 0, "", err
		}
		for _, value := range rows.RawValues() {
			size += len(value)
		}
		var failures checks
		for _, c := range columns {
			if c.check != nil {
				c.check(&failures)
			}
		}
		if len(failures) == 0 {
			add(row)
			continue
		}
		b.problems = append(b.problems, cannotImport(t.kind, t.label(row), t.prefix+strings.Join(failures, "; "+t.prefix)))
	}
	rows.Close()
	return count, key, rows.Err()
}

// readPage reads a page of rows after the cursor. It returns the last key, or "" if there are
// no rows.
func (t table[Row]) readPage(ctx context.Context, d *database, b *batch, condition, cursor string, add func(*Row)) (last string, err error) {
	b.steps, last, err = t.read(ctx, d, b, t.page(d.mapping, condition), cursor, pageBytes, add)
	return last, err
}

// readRelated reads the rows that have one of the IDs in a column.
func (t table[Row]) readRelated(ctx context.Context, d *database, b *batch, name string, ids []int64, add func(*Row)) error {
	if len(ids) == 0 {
		return nil
	}
	_, _, err := t.read(ctx, d, b, t.related(d.mapping, name), ids, math.MaxInt, add)
	return err
}
