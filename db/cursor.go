package db

import "unicode/utf8"

// Cursor is the position of a row in a list, whether or not the row still
// exists. Only the fields by which the list is ordered matter.
type Cursor struct {
	ID        int64
	Name      string // at most maxTextKey characters
	CreatedAt Time
	UpdatedAt Time
	Position  float64
}

// value returns the value of the column of a field.
func (c *Cursor) value(field OrderField) any {
	switch field {
	case OrderByName:
		return c.Name
	case OrderByCreatedAt:
		return c.CreatedAt
	case OrderByUpdatedAt:
		return c.UpdatedAt
	case OrderByPosition:
		return c.Position
	}
	return c.ID
}

// Cursor returns the position of the portfolio in a list.
func (p *Portfolio) Cursor() Cursor {
	return Cursor{ID: p.ID, Name: truncateText(p.Name), CreatedAt: p.CreatedAt, UpdatedAt: p.UpdatedAt}
}

// Cursor returns the position of the link in a list.
func (l *PortfolioLink) Cursor() Cursor {
	return Cursor{ID: l.ID, Name: truncateText(l.Name), CreatedAt: l.CreatedAt, UpdatedAt: l.UpdatedAt, Position: l.Position()}
}

// Cursor returns the position of the image in a list.
func (i *Image) Cursor() Cursor {
	return Cursor{ID: i.ID, Name: truncateText(i.Name), CreatedAt: i.CreatedAt}
}

// Cursor returns the position of the user in a list.
func (u *User) Cursor() Cursor { return Cursor{ID: u.ID} }

// Cursor returns the position of the token in a list.
func (t *Token) Cursor() Cursor { return Cursor{ID: t.ID} }

// truncateText returns the characters of a text that an index holds. Of texts that are not
// UTF-8 it returns what substr of SQLite does: continuation bytes belong to the preceding byte
// unless that is ASCII, and NUL ends the text.
func truncateText(s string) string {
	end := 0
	for range maxTextKey {
		if end == len(s) || s[end] == 0 {
			break
		}
		ascii := s[end] < utf8.RuneSelf
		for end++; !ascii && end < len(s) && !utf8.RuneStart(s[end]); end++ {
		}
	}
	return s[:end]
}
