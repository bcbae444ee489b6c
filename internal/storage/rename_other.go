//go:build !linux

package storage

import (
	"errors"
	"os"
)

// renameNew fails: it is needed only on file systems without hard links.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
