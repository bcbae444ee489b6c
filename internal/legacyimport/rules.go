package legacyimport

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"time"

	"portfolio/db"
)

// outcome is what happened to a row or a file.
type outcome int

const (
	unchanged outcome = iota // it was equal already
	moved
	deleted
	skipped
	differing
	missing
)

type result struct {
	kind        db.RowKind
	key         string
	outcome     outcome
	reason      string
	differences []Difference
}

// version is a row, in the legacy system or here.
type version struct {
	hash    []byte
	updated time.Time // zero if the kind of row has no such time
}

// rules decide what happens to a row.
type rules struct{ force, delete bool }

// decide decides about a row of the legacy system. Here is the row of the same key
// here, nil if there is none; same tells whether the two are the same row at all.
// Last is the hash of the row as it was moved last, nil if it was not.
func (r rules) decide(legacy version, here *version, same bool, last []byte) (outcome, string) {
	switch {
	case here == nil && (last == nil || r.force):
		return moved, ""
	case here == nil:
		return skipped, "it was deleted here"
	case bytes.Equal(legacy.hash, here.hash):
		return unchanged, ""
	case last != nil && bytes.Equal(here.hash, last):
		return moved, ""
	case last == nil && !same:
		return differing, "another one has this ID here"
	case r.force:
		return moved, ""
	case here.updated.After(legacy.updated):
		return skipped, "it is newer here"
	case bytes.Equal(legacy.hash, last):
		return skipped, "it was changed here"
	case last != nil:
		return skipped, "it was changed on both sides"
	case legacy.updated.IsZero():
		return skipped, "it has other values here, and was not moved by this command"
	}
	return moved, ""
}

// decideGone decides about a row that was moved, and is gone in the legacy system.
func (r rules) decideGone(here version, last []byte) (outcome, string) {
	switch {
	case !r.force && !bytes.Equal(here.hash, last):
		return skipped, "it is gone in the legacy system, but was changed here"
	case !r.delete:
		return differing, "it is gone in the legacy system: --delete deletes it here"
	}
	return deleted, ""
}

// hashOf returns a hash of the values of a row.
func hashOf(values ...any) []byte {
	text, err := json.Marshal(values)
	if err != nil {
		panic(err) // unreachable: no value is of a type that cannot be encoded
	}
	hash := sha256.Sum256(text)
	return hash[:]
}

func hashUser(u *db.User) []byte {
	codes := u.Codes
	if len(codes) == 0 {
		codes = []int{}
	}
	return hashOf(u.Username, u.IsActive, u.IsStaff, u.IsAdmin, u.CreatedAt.UTC(), codes)
}

func hashToken(t *db.Token) []byte { return hashOf(t.KeyHash, t.UserID) }

func hashPortfolio(p *db.Portfolio) []byte {
	return hashOf(p.Name, p.CreatedAt.UTC(), p.UpdatedAt.UTC())
}

func hashImage(i *db.Image) []byte {
	thumbnails := make([]any, len(i.Thumbnails))
	for n, t := range i.Thumbnails {
		thumbnails[n] = []any{t.ID, t.Path, t.Size}
	}
	return hashOf(i.Type, i.Name, i.Path, i.Size, i.Width, i.Height, i.Mode, i.CreatedAt.UTC(), thumbnails)
}

func hashLink(l *db.PortfolioLink) []byte {
	return hashOf(l.PortfolioID, l.ImageID, l.Name, l.URL, l.Description, l.CreatedAt.UTC(), l.UpdatedAt.UTC())
}
