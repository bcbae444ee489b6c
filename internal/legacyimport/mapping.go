package legacyimport

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/jackc/pgx/v5"
)

// DefaultMapping is a documented mapping of the tables that Django creates.
//
//go:embed mapping.txt
var DefaultMapping string

// Mapping maps our names of tables and columns, such as links and links.name, to the names
// in the legacy database.
type Mapping map[string]string

// maxMapping bounds the size of a mapping in bytes.
const maxMapping = 64 << 10

// optional names the tables and columns that the legacy system may lack.
var optional = map[string]bool{
	"users": true, "permissions": true, "tokens": true, "tokens.created_at": true, "links.url": true, "links.description": true,
	"images.width": true, "images.height": true, "images.mode": true, "images.created_at": true, "thumbnails.size": true,
}

// ParseMapping parses lines of NAME = VALUE. Names that are not in text keep their values of
// DefaultMapping.
func ParseMapping(text string) (Mapping, error) {
	mapping, err := parseLines(DefaultMapping, nil)
	if err != nil {
		return nil, err
	}
	changes, err := parseLines(text, mapping)
	if err != nil {
		return nil, err
	}
	maps.Copy(mapping, changes)
	return mapping, nil
}

// parseLines parses lines whose names are names of defaults, unless defaults is nil.
func parseLines(text string, defaults Mapping) (Mapping, error) {
	if len(text) > maxMapping {
		return nil, fmt.Errorf("has more than %d bytes", maxMapping)
	}
	mapping, number := Mapping{}, 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		name, value, isPair := strings.Cut(line, "=")
		name, value = strings.TrimSpace(name), strings.TrimSpace(value)
		_, isDefault := defaults[name]
		var err error
		switch {
		case !isPair:
			err = errors.New("not NAME = VALUE")
		case defaults != nil && !isDefault:
			err = fmt.Errorf("%q is not a name of --print-mapping", name)
		case value == "" && !optional[name]:
			err = fmt.Errorf("%s: must not be empty", name)
		case value != "":
			err = checkValue(name, value)
		}
		if _, exists := mapping[name]; exists {
			err = fmt.Errorf("%s is repeated", name)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		mapping[name] = value
	}
	return mapping, nil
}

// checkValue returns an error unless a value has the form of a table or a column.
func checkValue(name, value string) error {
	if !strings.Contains(name, ".") {
		if strings.Count(value, ".") > 1 || strings.ContainsAny(value, "\x00'") {
			return fmt.Errorf("%s: not TABLE or SCHEMA.TABLE", name)
		}
		return nil
	}
	if text, quoted := strings.CutPrefix(value, "'"); quoted {
		if text, quoted = strings.CutSuffix(text, "'"); !quoted || strings.Contains(text, "'") {
			return fmt.Errorf("%s: not a text in single quotes", name)
		}
		return nil
	}
	if _, target, follows := strings.Cut(value, "->"); follows && !strings.Contains(target, ".") {
		return fmt.Errorf("%s: not COLUMN -> TABLE.COLUMN", name)
	}
	return nil
}

// has reports whether the legacy system has a table or a column.
func (m Mapping) has(name string) bool { return m[name] != "" }

// table returns the SQL of a table.
func (m Mapping) table(name string) string { return quoteTable(m[name]) }

func quoteTable(name string) string {
	return pgx.Identifier(strings.Split(name, ".")).Sanitize()
}

// column returns the SQL of a column of the table with an alias.
func (m Mapping) column(alias, name string) string {
	value := m[name]
	switch text, quoted := strings.CutPrefix(value, "'"); {
	case value == "":
		return "NULL"
	case quoted:
		return "'" + text
	}
	column, target, follows := strings.Cut(value, "->")
	sql := alias + "." + pgx.Identifier{strings.TrimSpace(column)}.Sanitize()
	if !follows {
		return sql
	}
	target = strings.TrimSpace(target)
	dot := strings.LastIndexByte(target, '.')
	return "(SELECT r." + pgx.Identifier{target[dot+1:]}.Sanitize() + " FROM " + quoteTable(target[:dot]) + " AS r WHERE r.id = " + sql + ")"
}
