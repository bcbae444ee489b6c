package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"portfolio/db"
	"portfolio/internal/audit"
	"portfolio/internal/printable"
	"portfolio/internal/storage"
)

// GarbageCollector finds files without a row, and rows without a file.
type GarbageCollector struct {
	Database *db.DB
	Store    storage.Store
	MinAge   time.Duration // of files; the upload of younger ones may be in progress
	Delete   bool          // what is found
	Output   io.Writer     // receives a line for each file or row

	// Deleted, unless nil, is called with each object that was deleted: file:KEY, or
	// a row as audit.Node names it.
	Deleted func(object string)
}

// Run lists the files before the rows. An image that is uploaded meanwhile then
// has rows whose files are not listed, for which the store is asked again, but
// never files whose rows are not listed.
func (c *GarbageCollector) Run(ctx context.Context) error {
	youngest := time.Now().Add(-c.MinAge)
	modified := map[string]time.Time{} // by key
	for file, err := range c.Store.Files(ctx) {
		if err != nil {
			return err
		}
		modified[file.Key] = file.Modified
	}
	var missing []db.FileRef
	orphaned := maps.Clone(modified)
	for row, err := range c.Database.FileRefs(ctx) {
		if err != nil {
			return err
		}
		key := storage.Key(string(row.Path))
		delete(orphaned, key)
		if _, listed := modified[key]; !listed {
			missing = append(missing, row)
		}
	}
	if len(modified) == 0 && len(missing) > 0 && c.Delete {
		return errors.New("MEDIA_STORE: there is no file at all, so this is not the store of these rows")
	}
	maps.DeleteFunc(orphaned, func(_ string, modified time.Time) bool { return modified.After(youngest) })
	for _, key := range slices.Sorted(maps.Keys(orphaned)) {
		if err := c.collectFile(ctx, key); err != nil {
			return err
		}
	}
	for _, row := range missing {
		if err := c.collectRow(ctx, row); err != nil {
			return err
		}
	}
	return nil
}

func (c *GarbageCollector) collectFile(ctx context.Context, key string) error {
	_, _ = fmt.Fprintf(c.Output, "file without a row: %s\n", printable.Quote(key))
	if !c.Delete {
		return nil
	}
	return c.deleted(c.Store.Remove(ctx, key), "file:"+key)
}

func (c *GarbageCollector) deleted(err error, object string) error {
	if err == nil && c.Deleted != nil {
		c.Deleted(object)
	}
	return err
}

// collectRow does nothing if the file of the row was created meanwhile.
func (c *GarbageCollector) collectRow(ctx context.Context, row db.FileRef) error {
	found, err := c.Store.Exists(ctx, storage.Key(string(row.Path)))
	if err != nil || found {
		return err
	}
	name, id := describeRow(row)
	_, _ = fmt.Fprintf(c.Output, "row without a file: %s %d, %s\n", name, id.ID, printable.Quote(string(row.Path)))
	if !c.Delete {
		return nil
	}
	return c.deleted(c.Database.DeleteFileRef(ctx, row), audit.Node(id))
}

// describeRow returns the name and the ID of a row.
func describeRow(row db.FileRef) (name string, id db.NodeID) {
	if row.ThumbnailID != nil {
		return "thumbnail", db.NodeID{Type: db.ThumbnailNode, ID: *row.ThumbnailID}
	}
	return "image", db.NodeID{Type: db.ImageNode, ID: row.ImageID}
}
