package model

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"time"

	"portfolio/db"
)

// CursorCodec encodes and decodes the cursors of a list in one order.
type CursorCodec struct {
	List string // name of the list
	db.Order
}

// checksum distinguishes the cursors of this list and order from any other text.
// It is not a secret, as a cursor holds nothing that a client may not know.
func (c CursorCodec) checksum(position []byte) uint32 {
	return crc32.ChecksumIEEE(append([]byte(c.List+" "+string(c.Field)+" "+string(c.Direction)+" "), position...))
}

func (c CursorCodec) cursorOf(row Row) string { return c.encode(row.Cursor(c.Field)) }

func (c CursorCodec) encode(cursor db.Cursor) string {
	position := binary.AppendVarint(nil, cursor.ID)
	switch c.Field {
	case db.OrderByName:
		position = append(position, cursor.Name...)
	case db.OrderByCreatedAt, db.OrderByUpdatedAt:
		position = binary.AppendVarint(position, cursor.Time.UnixMicro())
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(position, c.checksum(position)))
}

// Decode returns the position that a cursor encodes. It reports false for any
// text that encode did not return.
func (c CursorCodec) Decode(text string) (db.Cursor, bool) {
	const sum = 4 // bytes
	position, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(position) < sum {
		return db.Cursor{}, false
	}
	position = position[:len(position)-sum]
	id, read := binary.Varint(position)
	cursor, rest := db.Cursor{ID: id}, position[max(read, 0):]
	switch c.Field {
	case db.OrderByName:
		cursor.Name = string(rest)
	case db.OrderByCreatedAt, db.OrderByUpdatedAt:
		micros, _ := binary.Varint(rest)
		cursor.Time = db.Time{Time: time.UnixMicro(micros).UTC()}
	}
	return cursor, db.CanStoreText(cursor.Name) && db.CanStoreTime(cursor.Time.Time) && c.encode(cursor) == text
}
