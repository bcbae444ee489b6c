package db

import "database/sql"

// scanStored scans a row. If SQLite stores values that are not of the type of their column,
// it scans them as zero or null.
func scanStored[R any](db *DB, row row, scan func(row) (R, error)) (R, error) {
	value, err := scan(row)
	if err != nil && !db.Postgres() {
		return scan(repairedRow{row})
	}
	return value, err
}

// repairedRow is a row that scans a value as zero or null if it is not the number or boolean that
// dest requires.
type repairedRow struct{ row }

// Scan implements row.
func (r repairedRow) Scan(dest ...any) error {
	repaired := make([]any, len(dest))
	for i, field := range dest {
		switch field := field.(type) {
		case *int64:
			repaired[i] = orZero[int64]{field}
		case *bool:
			repaired[i] = orZero[bool]{field}
		case **int:
			repaired[i] = orZero[*int]{field}
		case **int64:
			repaired[i] = orZero[*int64]{field}
		default:
			repaired[i] = field
		}
	}
	return r.row.Scan(repaired...)
}

// orZero scans a value that cannot be converted as the zero value.
type orZero[T any] struct{ dest *T }

// Scan implements sql.Scanner.
func (o orZero[T]) Scan(value any) error {
	var scanned sql.Null[T]
	if scanned.Scan(value) != nil {
		scanned.V = *new(T)
	}
	*o.dest = scanned.V
	return nil
}
