package legacyimport

import (
	"bytes"
	"context"
	"slices"

	"portfolio/db"
)

// transaction imports rows in one transaction.
type transaction struct {
	tx      db.ImportTx
	rules   rules
	dryRun  bool
	results []result
}

// kind describes how a transaction imports rows of one kind.
type kind[Row db.Node] struct {
	name    db.RowKind
	rows    func(*batch) []Row
	key     func(Row) string // key of a row in the record of the import
	label   func(Row) string // name of a row in the report
	version func(Row) version
	load    func(db.ImportTx, context.Context, []string) ([]Row, error) // locks and returns local rows by key
	put     func(db.ImportTx, context.Context, []Row, []Row) error      // stores new and changed rows

	// isSame reports whether a local row that was not imported is the legacy row.
	isSame func(legacy, local Row) bool
	// complete returns the legacy row with values that the source lacks. It may be nil.
	complete func(b *batch, legacy, local Row) Row
	// check looks up the local rows with which rows may conflict. It may be nil.
	check func(context.Context, *transaction, []Row) (conflict[Row], error)
}

// conflict returns why a legacy row cannot be imported, or "".
type conflict[Row db.Node] func(legacy, local Row) string

// importer imports rows of one kind, and deletes them.
type importer interface {
	rowKind() db.RowKind
	importBatch(ctx context.Context, t *transaction, b *batch) error
	deleteRows(ctx context.Context, t *transaction, keys []string) error
}

// importBatch imports the rows of a batch, and the deletions of links.
func (t *transaction) importBatch(ctx context.Context, b *batch) error {
	for _, k := range kinds {
		if err := k.importBatch(ctx, t, b); err != nil {
			return err
		}
	}
	return linkKind.deleteRows(ctx, t, keysOf(b.deleted))
}

func (k *kind[Row]) rowKind() db.RowKind { return k.name }

// importBatch decides about the rows of its kind, stores the rows to import, and records their
// import.
func (k *kind[Row]) importBatch(ctx context.Context, t *transaction, b *batch) error {
	rows := k.rows(b)
	if len(rows) == 0 {
		return nil
	}
	created, changed, records, err := k.decideAll(ctx, t, b, rows)
	if err != nil || t.dryRun {
		return err
	}
	if err := k.put(t.tx, ctx, created, changed); err != nil {
		return err
	}
	return t.tx.RecordImported(ctx, records)
}

// decideAll decides about rows. It returns the rows to create and to change, and the records of
// imported rows.
func (k *kind[Row]) decideAll(ctx context.Context, t *transaction, b *batch, rows []Row) (created, changed []Row, records []db.ImportedRow, err error) {
	reject, err := k.conflicts(ctx, t, rows)
	if err != nil {
		return nil, nil, nil, err
	}
	keys := make([]string, len(rows))
	for i, row := range rows {
		keys[i] = k.key(row)
	}
	local, hashes, err := k.loadLocal(ctx, t, keys)
	if err != nil {
		return nil, nil, nil, err
	}
	for i, row := range rows {
		existing, exists := local[keys[i]]
		if k.complete != nil {
			row = k.complete(b, row, existing)
		}
		c := candidate{legacy: k.version(row), imported: hashes[keys[i]]}
		if exists {
			c.local, c.isSame = new(k.version(existing)), k.isSame(row, existing)
		}
		d := decision{differing, reject(row, existing)}
		if d.reason == "" {
			d = t.rules.decide(c)
		}
		t.results = append(t.results, result{kind: k.name, key: k.label(row), decision: d})
		if d.outcome == imported && exists {
			changed = append(changed, row)
		} else if d.outcome == imported {
			created = append(created, row)
		}
		if (d.outcome == imported || d.outcome == unchanged) && !bytes.Equal(c.legacy.hash, c.imported) {
			records = append(records, db.ImportedRow{Kind: k.name, Key: keys[i], Hash: c.legacy.hash})
		}
	}
	return created, changed, records, nil
}

// conflicts returns the conflict function of check. Without check, no row has a conflict.
func (k *kind[Row]) conflicts(ctx context.Context, t *transaction, rows []Row) (conflict[Row], error) {
	if k.check == nil {
		return func(Row, Row) string { return "" }, nil
	}
	return k.check(ctx, t, rows)
}

// loadLocal returns the local rows and the hashes of imported rows, by key.
func (k *kind[Row]) loadLocal(ctx context.Context, t *transaction, keys []string) (map[string]Row, map[string][]byte, error) {
	rows, err := k.load(t.tx, ctx, keys)
	if err != nil {
		return nil, nil, err
	}
	local := map[string]Row{}
	for _, row := range rows {
		local[k.key(row)] = row
	}
	hashes, err := t.tx.ImportedHashes(ctx, k.name, keys)
	return local, hashes, err
}

// deleteRows handles imported rows that the legacy system has deleted.
func (k *kind[Row]) deleteRows(ctx context.Context, t *transaction, keys []string) error {
	local, hashes, err := k.loadLocal(ctx, t, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		row, exists := local[key]
		switch hash := hashes[key]; {
		case hash == nil: // the row was never imported
		case exists:
			err = t.deleteRow(ctx, k.name, key, row.NodeID().ID, t.rules.decideDeleted(k.version(row), hash))
		case !t.dryRun:
			err = t.tx.ForgetImported(ctx, k.name, key)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteRow deletes a row if d is a decision to delete it, and records the result.
func (t *transaction) deleteRow(ctx context.Context, name db.RowKind, key string, id int64, d decision) error {
	if d.outcome == deleted && !t.dryRun {
		removed, err := t.tx.Delete(ctx, name, id)
		if err == nil && removed {
			err = t.tx.ForgetImported(ctx, name, key)
		}
		if err != nil {
			return err
		}
		if !removed {
			d = decision{skipped, "it was deleted in the legacy system, but local rows refer to it"}
		}
	}
	t.results = append(t.results, result{kind: name, key: formatID(id), decision: d})
	return nil
}

// importedIDs returns the IDs whose local rows were imported. It locks these rows, so that
// they cannot be deleted. In a dry run, it returns all IDs.
func (t *transaction) importedIDs(ctx context.Context, name db.RowKind, ids []int64) (map[int64]bool, error) {
	usable := map[int64]bool{}
	if t.dryRun {
		for _, id := range ids {
			usable[id] = true
		}
		return usable, nil
	}
	slices.Sort(ids)
	existing, err := t.tx.Existing(ctx, name, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	hashes, err := t.tx.ImportedHashes(ctx, name, keysOf(existing))
	for _, id := range existing {
		usable[id] = hashes[formatID(id)] != nil
	}
	return usable, err
}
