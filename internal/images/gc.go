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
	MinAge   time.Duration // of files; the upload of a younger file may be in progress
	Delete   bool          // the files and rows, instead of only listing them
	Output   io.Writer     // receives a line for each file or row

	// Deleted, unless nil, is called with each deleted object: file:KEY, or the audit.Node of a
	// row.
	Deleted func(object string)
}

// Run finds files without a row, and rows without a file, and prints them. It lists the files
// before the rows. So an image that is uploaded meanwhile may have rows whose files are not
// listed, but no files whose rows are not listed. For each such row, collectRow checks the file
// again.
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
		return errors.New("MEDIA_STORE: the store is empty, but rows refer to files: check the setting")
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
	return c.reportDeleted(c.Store.Remove(ctx, key), "file:"+key)
}

// reportDeleted calls c.Deleted with object unless its deletion failed with err, which it returns.
func (c *GarbageCollector) reportDeleted(err error, object string) error {
	if err == nil && c.Deleted != nil {
		c.Deleted(object)
	}
	return err
}

// collectRow prints a row whose file does not exist, and deletes it if c.Delete is set.
func (c *GarbageCollector) collectRow(ctx context.Context, row db.FileRef) error {
	exists, err := c.Store.Exists(ctx, storage.Key(string(row.Path)))
	if err != nil || exists {
		return err
	}
	name, id := describeRow(row)
	_, _ = fmt.Fprintf(c.Output, "row without a file: %s %d, %s\n", name, id.ID, printable.Quote(string(row.Path)))
	if !c.Delete {
		return nil
	}
	return c.reportDeleted(c.Database.DeleteFileRef(ctx, row), audit.Node(id))
}

// describeRow returns the name and the ID of a row.
func describeRow(row db.FileRef) (name string, id db.NodeID) {
	if row.ThumbnailID != nil {
		return "thumbnail", db.NodeID{Type: db.ThumbnailNode, ID: *row.ThumbnailID}
	}
	return "image", db.NodeID{Type: db.ImageNode, ID: row.ImageID}
}
