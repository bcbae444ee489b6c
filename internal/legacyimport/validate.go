package legacyimport

import (
	"math"
	"strconv"

	"github.com/jackc/pgx/v5/pgtype"

	"portfolio/db"
)

// checks collects the validation errors of a row of the legacy system.
type checks []string

func (c *checks) fail(field, reason string) { *c = append(*c, field+": "+reason) }

func (c *checks) id(field string, id int64) {
	if id < 1 {
		c.fail(field, "must be positive, not "+formatID(id))
	}
}

func (c *checks) text(field string, text *string) {
	if text != nil && !db.CanStoreText(*text) {
		c.fail(field, "must be valid UTF-8 without NUL")
	}
}

func (c *checks) time(field string, value pgtype.Timestamptz) {
	if !value.Valid || value.InfinityModifier != pgtype.Finite || !db.CanStoreTime(value.Time.UTC()) {
		c.fail(field, "must be a time in the years 1 to 9999")
	}
}

func (c *checks) number(field string, value *int64) *int {
	if value == nil {
		return nil
	}
	if *value < math.MinInt32 || *value > math.MaxInt32 {
		c.fail(field, "must fit into 32 bits, not "+strconv.FormatInt(*value, 10))
		return nil
	}
	return new(int(*value))
}

// cannotImport returns the problem of a row that cannot be stored.
func cannotImport(kind db.RowKind, key, reason string) Problem {
	return Problem{Kind: kind, Key: key, State: Differing, Reason: "cannot be imported: " + reason}
}
