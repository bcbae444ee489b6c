package model

import (
	"encoding/base64"
	"encoding/binary"
	"testing"
	"time"

	"portfolio/db"
)

// codecs returns the codecs of all lists and orders.
func codecs() (codecs []CursorCodec) {
	for _, list := range []string{"portfolios", "links"} {
		for _, field := range []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt} {
			for _, direction := range []db.Direction{db.Ascending, db.Descending} {
				codecs = append(codecs, CursorCodec{list, db.Order{Field: field, Direction: direction}})
			}
		}
	}
	return codecs
}

// FuzzCursor checks that a text is a cursor of at most one list and order, and
// that forged cursors with a valid checksum decode to values that both databases
// can store.
func FuzzCursor(f *testing.F) {
	moment := db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296270000, time.UTC)}
	for _, codec := range codecs() {
		f.Add(codec.encode(db.Cursor{ID: 4, Name: "دمو", Time: moment}), int64(0), []byte("x"))
		f.Add(codec.encode(db.Cursor{ID: -1 << 63, Time: db.Time{Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}}), int64(-1)<<63, []byte{0xff, 0})
	}
	f.Add("", int64(1), binary.AppendVarint(nil, 1<<62))
	f.Add("AAAAAA\n", int64(1), []byte{0x80})
	f.Fuzz(func(t *testing.T, text string, id int64, rest []byte) {
		valid := 0
		for _, codec := range codecs() {
			if cursor, ok := codec.Decode(text); ok {
				valid++
				if again := codec.encode(cursor); again != text {
					t.Errorf("%+v: %q decodes as %+v, which encodes as %q", codec, text, cursor, again)
				}
			}
			position := append(binary.AppendVarint(nil, id), rest...)
			forged := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(position, codec.checksum(position)))
			if cursor, ok := codec.Decode(forged); ok && (!db.CanStoreText(cursor.Name) || codec.Field != db.OrderByName && codec.Field != db.OrderByID && !db.CanStoreTime(cursor.Time.Time)) {
				t.Errorf("%+v: %q decodes as %+v", codec, forged, cursor)
			}
		}
		if valid > 1 {
			t.Errorf("%q is a cursor of %d orders", text, valid)
		}
	})
}
