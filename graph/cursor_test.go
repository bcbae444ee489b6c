package graph

import (
	"encoding/base64"
	"encoding/binary"
	"testing"
	"time"

	"portfolio/db"
)

func orders() (orders []listOrder) {
	for _, kind := range []string{portfolioList, linkList} {
		for _, field := range []db.OrderField{db.OrderByID, db.OrderByName, db.OrderByCreatedAt, db.OrderByUpdatedAt} {
			for _, direction := range []db.Direction{db.Ascending, db.Descending} {
				orders = append(orders, listOrder{kind, db.Order{Field: field, Direction: direction}})
			}
		}
	}
	return orders
}

// FuzzCursor: a text is the cursor of one place in one order, or of none. What
// is forged with a right checksum names a place that both databases can hold.
func FuzzCursor(f *testing.F) {
	moment := db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296270000, time.UTC)}
	for _, order := range orders() {
		f.Add(order.encode(db.Cursor{ID: 4, Name: "دمو", Time: moment}), int64(0), []byte("x"))
		f.Add(order.encode(db.Cursor{ID: -1 << 63, Time: db.Time{Time: time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)}}), int64(-1)<<63, []byte{0xff, 0})
	}
	f.Add("", int64(1), binary.AppendVarint(nil, 1<<62))
	f.Add("AAAAAA\n", int64(1), []byte{0x80})
	f.Fuzz(func(t *testing.T, text string, id int64, rest []byte) {
		good := 0
		for _, order := range orders() {
			if cursor, ok := order.decode(text); ok {
				good++
				if again := order.encode(cursor); again != text {
					t.Errorf("%+v: %q decodes as %+v, which is %q", order, text, cursor, again)
				}
			}
			place := append(binary.AppendVarint(nil, id), rest...)
			forged := base64.RawURLEncoding.EncodeToString(binary.BigEndian.AppendUint32(place, order.checksum(place)))
			if cursor, ok := order.decode(forged); ok && (!isText(cursor.Name) || order.Field != db.OrderByName && order.Field != db.OrderByID && !inDatabase(cursor.Time.Time)) {
				t.Errorf("%+v: %q decodes as %+v", order, forged, cursor)
			}
		}
		if good > 1 {
			t.Errorf("%q is a cursor of %d orders", text, good)
		}
	})
}
