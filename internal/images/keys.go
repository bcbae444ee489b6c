package images

import (
	"context"
	"fmt"

	"portfolio/db"
	"portfolio/internal/storage"
)

// maxProblems bounds the rows that KeyProblems describes.
const maxProblems = 10

// KeyProblems describes rows that refer to files whose keys are not valid. The server does not
// serve such files, and a backup does not contain them.
func KeyProblems(ctx context.Context, database *db.DB) (problems []string, err error) {
	for row, err := range database.FileRefs(ctx) {
		if err != nil {
			return problems, err
		}
		key := storage.Key(string(row.Path))
		if key == "" || storage.ValidKey(key) {
			continue
		}
		name, id := describeRow(row)
		problems = append(problems, fmt.Sprintf("the %s %d refers to %.200q, which is neither served nor backed up: no file may have this name", name, id.ID, row.Path))
		if len(problems) == maxProblems {
			break
		}
	}
	return problems, nil
}
