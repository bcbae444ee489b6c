package model

import (
	"encoding/base64"
	"encoding/binary"
	"slices"
	"testing"
	"time"

	"portfolio/db"
)

// codecs returns the codecs of all lists, ordered by one field or by two.
func codecs() (codecs []CursorCodec) {
	for _, list := range []string{"portfolios", "links", "images"} {
		for _, keys := range orders() {
			codecs = append(codecs, CursorCodec{list, db.NewOrderBy(keys...)})
		}
	}
	return codecs
}

func orders() (orders [][]db.Order) {
	var keys []db.Order
	for _, field := range []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt, db.OrderByPosition} {
		for _, direction := range []db.Direction{db.Ascending, db.Descending} {
			keys = append(keys, db.Order{Field: field, Direction: direction})
		}
	}
	for _, first := range keys {
		orders = append(orders, []db.Order{first})
		for _, second := range keys {
			// A second key is no other order if the first is the ID, or if it is the ID in the
			// same direction.
			if first.Field != db.OrderByID && first.Field != second.Field && (second.Field != db.OrderByID || first.Direction != second.Direction) {
				orders = append(orders, []db.Order{first, second})
			}
		}
	}
	return orders
}

// FuzzCursor checks that a text is a cursor of at most one list and order, and
// that forged cursors with a valid checksum decode to times and positions that both
// databases can store.
func FuzzCursor(f *testing.F) {
	moment := db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296270000, time.UTC)}
	earliest := db.Time{Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}
	for _, codec := range codecs() {
		f.Add(codec.encode(db.Cursor{ID: 4, Name: "دمو", CreatedAt: moment, UpdatedAt: earliest, Position: -4.5}), []byte("x"))
		f.Add(codec.encode(db.Cursor{ID: -1 << 63, CreatedAt: earliest, UpdatedAt: moment}), []byte{4, 0xff, 0, 2})
	}
	f.Add("", binary.AppendVarint(nil, 1<<62))
	f.Add("AAAAAA\n", []byte{0x80})
	f.Fuzz(func(t *testing.T, text string, position []byte) {
		valid := 0
		for _, codec := range codecs() {
			if cursor, ok := codec.Decode(text); ok {
				valid++
				if again := codec.encode(cursor); again != text {
					t.Errorf("%+v: %q decodes as %+v, which encodes as %q", codec, text, cursor, again)
				}
			}
			forged := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(slices.Clone(position), codec.checksum(position)))
			cursor, ok := codec.Decode(forged)
			if storable := db.CanStoreTime(cursor.CreatedAt.Time) && db.CanStoreTime(cursor.UpdatedAt.Time) && db.CanStorePosition(cursor.Position); ok && !storable {
				t.Errorf("%+v: %q decodes as %+v", codec, forged, cursor)
			}
		}
		if valid > 1 {
			t.Errorf("%q is a cursor of %d orders", text, valid)
		}
	})
}
