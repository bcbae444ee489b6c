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

// truncateText returns the characters of a text that an index holds, as substr of SQLite does.
// If the text is not UTF-8, continuation bytes belong to the preceding byte unless that byte is
// ASCII. NUL ends the text.
func truncateText(s string) string {
	length := 0
	for range maxTextKey {
		if length == len(s) || s[length] == 0 {
			break
		}
		ascii := s[length] < utf8.RuneSelf
		for length++; !ascii && length < len(s) && !utf8.RuneStart(s[length]); length++ {
		}
	}
	return s[:length]
}
