package legacyimport

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"time"

	"portfolio/db"
)

// outcome says what the import did with a row or a file.
type outcome int

const (
	unchanged outcome = iota // the local row or file is equal
	imported
	deleted
	skipped
	differing
	missing
)

// decision is an outcome and its reason.
type decision struct {
	outcome outcome
	reason  string
}

// result is the outcome of a row or a file.
type result struct {
	decision
	kind        db.RowKind
	key         string
	differences []Difference
}

// version identifies the values of a row.
type version struct {
	hash    []byte
	updated time.Time // zero if the kind of row has no such time
}

// candidate is a row of the legacy system, and the local row with the same key.
type candidate struct {
	legacy   version
	local    *version // nil if there is no local row
	isSame   bool     // whether a local row that was not imported is the legacy row
	imported []byte   // hash of the row when it was last imported; nil if it never was
}

// rules decide which rows are imported and deleted.
type rules struct{ force, delete bool }

// decide returns the decision for a row of the legacy system.
func (r rules) decide(c candidate) decision {
	switch {
	case c.local == nil && (c.imported == nil || r.force):
		return decision{outcome: imported}
	case c.local == nil:
		return decision{skipped, "it was deleted locally"}
	case bytes.Equal(c.legacy.hash, c.local.hash):
		return decision{outcome: unchanged}
	case c.imported != nil && bytes.Equal(c.local.hash, c.imported):
		return decision{outcome: imported}
	case c.imported == nil && !c.isSame:
		return decision{differing, "a different local row has this ID"}
	case r.force:
		return decision{outcome: imported}
	case c.local.updated.After(c.legacy.updated):
		return decision{skipped, "the local row is newer"}
	case bytes.Equal(c.legacy.hash, c.imported):
		return decision{skipped, "it was changed locally"}
	case c.imported != nil:
		return decision{skipped, "it was changed on both sides"}
	case c.legacy.updated.IsZero():
		return decision{skipped, "the local row has other values, and was not imported"}
	}
	return decision{outcome: imported}
}

// decideDeleted returns the decision for an imported row that the legacy system has deleted.
func (r rules) decideDeleted(local version, imported []byte) decision {
	switch {
	case !r.force && !bytes.Equal(local.hash, imported):
		return decision{skipped, "it was deleted in the legacy system, but changed locally"}
	case !r.delete:
		return decision{differing, "it was deleted in the legacy system: --delete deletes it locally"}
	}
	return decision{outcome: deleted}
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
