package model

import (
	"encoding/base64"
	"encoding/binary"
	"hash/crc32"
	"math"
	"time"

	"portfolio/db"
)

// CursorCodec encodes and decodes the cursors of a list in one order.
type CursorCodec struct {
	List  string // name of the list
	Order db.OrderBy
}

// checksum distinguishes the cursors of this list and order from all other texts.
// It need not be secret, because a cursor has only values that the client may know.
func (c *CursorCodec) checksum(position []byte) uint32 {
	text := []byte(c.List)
	for _, key := range c.Order.Keys() {
		text = append(append(append(append(text, ' '), key.Field...), ' '), key.Direction...)
	}
	return crc32.ChecksumIEEE(append(append(text, ' '), position...))
}

func (c *CursorCodec) cursorOf(row Row) string { return c.encode(row.Cursor()) }

// encode returns the text of a cursor.
func (c *CursorCodec) encode(cursor db.Cursor) string {
	var position []byte
	for _, key := range c.Order.Keys() {
		switch key.Field {
		case db.OrderByID:
			position = binary.AppendVarint(position, cursor.ID)
		case db.OrderByName:
			position = append(binary.AppendVarint(position, int64(len(cursor.Name))), cursor.Name...)
		case db.OrderByCreatedAt:
			position = binary.AppendVarint(position, cursor.CreatedAt.UnixMicro())
		case db.OrderByUpdatedAt:
			position = binary.AppendVarint(position, cursor.UpdatedAt.UnixMicro())
		case db.OrderByPosition:
			position = binary.AppendUvarint(position, math.Float64bits(cursor.Position))
		}
	}
	return base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(position, c.checksum(position)))
}

// Decode returns the position that a cursor encodes. It reports false for any
// text that encode does not return.
func (c *CursorCodec) Decode(text string) (db.Cursor, bool) {
	const sum = 4 // bytes
	position, err := base64.RawURLEncoding.DecodeString(text)
	if err != nil || len(position) < sum {
		return db.Cursor{}, false
	}
	cursor, rest := db.Cursor{}, reader(position[:len(position)-sum])
	for _, key := range c.Order.Keys() {
		switch key.Field {
		case db.OrderByID:
			cursor.ID = rest.varint()
		case db.OrderByName:
			cursor.Name = rest.text()
		case db.OrderByCreatedAt:
			cursor.CreatedAt = rest.time()
		case db.OrderByUpdatedAt:
			cursor.UpdatedAt = rest.time()
		case db.OrderByPosition:
			cursor.Position = math.Float64frombits(rest.uvarint())
		}
	}
	storable := db.CanStoreTime(cursor.CreatedAt.Time) && db.CanStoreTime(cursor.UpdatedAt.Time) &&
		db.CanStorePosition(cursor.Position) // SQLite may have any bytes as a name
	return cursor, storable && c.encode(cursor) == text
}

// reader reads the values of a position. If they are malformed, it returns values
// with a different encoding.
type reader []byte

func (r *reader) varint() int64 {
	number, size := binary.Varint(*r)
	*r = (*r)[max(size, 0):]
	return number
}

func (r *reader) uvarint() uint64 {
	number, size := binary.Uvarint(*r)
	*r = (*r)[max(size, 0):]
	return number
}

func (r *reader) text() string {
	length := min(max(r.varint(), 0), int64(len(*r)))
	text := string((*r)[:length])
	*r = (*r)[length:]
	return text
}

func (r *reader) time() db.Time { return db.Time{Time: time.UnixMicro(r.varint()).UTC()} }
