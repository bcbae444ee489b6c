package db

import "context"

// sizer is a scanned row that knows its approximate size in bytes of memory.
type sizer interface{ size() int }

type meterKey struct{}

// meter counts the bytes of rows. It may be nil.
type meter func(bytes int) error

// WithMeter returns a context whose statements call count with the size of each row in
// bytes. An error of count ends the statement.
func WithMeter(ctx context.Context, count func(bytes int) error) context.Context {
	return context.WithValue(ctx, meterKey{}, meter(count))
}

func meterFrom(ctx context.Context) meter {
	m, _ := ctx.Value(meterKey{}).(meter)
	return m
}

func (m meter) count(row sizer) error {
	if m == nil {
		return nil
	}
	return m(row.size())
}

const rowSize = 200 // approximate bytes of a row without its texts

func (counts) size() int { return rowSize }

func (u *User) size() int { return rowSize + len(u.Username) + 8*len(u.Codes) }

func (t *Token) size() int {
	size := rowSize + textSize(t.Label)
	if t.User != nil {
		size += t.User.size()
	}
	return size
}

func (p *Portfolio) size() int { return rowSize + len(p.Name) }

func (l *PortfolioLink) size() int {
	size := rowSize + len(l.Name) + textSize(l.URL) + textSize(l.Description)
	if l.ImageData != nil {
		size += l.ImageData.size()
	}
	return size
}

func (i *Image) size() int {
	size := rowSize + len(i.Type) + len(i.Name) + len(i.Path) +
		textSize(i.Mode) + textSize(i.MimeType) + textSize(i.Placeholder) + textSize(i.Alt)
	for _, thumbnail := range i.Thumbnails {
		size += thumbnail.size()
	}
	return size
}

func (t *Thumbnail) size() int { return rowSize/2 + len(t.Path) }

func textSize(text *string) int {
	if text == nil {
		return 0
	}
	return len(*text)
}
