// Package jsonenc appends values to JSON text in the forms that both APIs
// share. It does not append strings, because each API has its own escapes.
package jsonenc

import (
	"strconv"
	"time"
)

// AppendNullable appends null if value is nil. Otherwise it calls appendValue.
func AppendNullable[T any](b []byte, value *T, appendValue func([]byte, T) []byte) []byte {
	if value == nil {
		return append(b, "null"...)
	}
	return appendValue(b, *value)
}

// AppendInt appends an integer, or null.
func AppendInt[T int | int64](b []byte, i *T) []byte {
	if i == nil {
		return append(b, "null"...)
	}
	return strconv.AppendInt(b, int64(*i), 10)
}

// AppendTime appends a time in RFC 3339 without quotes, in UTC. It appends six fractional
// digits, or none if they are all zero.
func AppendTime(b []byte, t time.Time) []byte {
	t = t.UTC()
	if t.Nanosecond() < 1000 {
		return t.AppendFormat(b, "2006-01-02T15:04:05Z")
	}
	return t.AppendFormat(b, "2006-01-02T15:04:05.000000Z")
}

// AppendHumanSize appends a size in bytes, without quotes, as the legacy
// system formats it: two decimals and a unit between B and TB.
func AppendHumanSize(b []byte, bytes int64) []byte {
	units := [...]string{" B", " KB", " MB", " GB", " TB"}
	size, unit := float64(bytes), 0
	for size >= 1024 && unit < len(units)-1 {
		size /= 1024
		unit++
	}
	return append(strconv.AppendFloat(b, size, 'f', 2, 64), units[unit]...)
}
