//go:build !linux

package storage

import (
	"errors"
	"os"
)

// renameNew fails. Only file systems without hard links need it.
func renameNew(*os.Root, string, string) error { return errors.ErrUnsupported }
