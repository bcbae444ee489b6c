package db

import (
	"bytes"

	"github.com/uptrace/bun/dialect/pgdialect"
)

// postgresDialect renders literals whose meaning does not depend on
// standard_conforming_strings. Otherwise a backslash could end a literal early.
type postgresDialect struct{ *pgdialect.Dialect }

// AppendString implements schema.Dialect.
func (d postgresDialect) AppendString(b []byte, s string) []byte {
	return escapeLiteral(d.Dialect.AppendString(b, s), len(b))
}

// AppendBytes implements schema.Dialect.
func (d postgresDialect) AppendBytes(b, value []byte) []byte {
	return escapeLiteral(d.Dialect.AppendBytes(b, value), len(b))
}

// AppendJSON implements schema.Dialect.
func (d postgresDialect) AppendJSON(b, value []byte) []byte {
	return escapeLiteral(d.Dialect.AppendJSON(b, value), len(b))
}

// escapeLiteral makes the literal that begins at start an E'...' literal if it has a
// backslash.
func escapeLiteral(b []byte, start int) []byte {
	if bytes.IndexByte(b[start:], '\\') < 0 {
		return b
	}
	escaped := bytes.ReplaceAll(b[start:], []byte(`\`), []byte(`\\`))
	return append(append(b[:start], " E"...), escaped...)
}
