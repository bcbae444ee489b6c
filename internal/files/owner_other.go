//go:build !unix

package files

import (
	"io/fs"
	"strconv"
)

func owner(fs.FileInfo) (uid, gid int, ok bool) { return 0, 0, false }

func userName(uid int) string { return strconv.Itoa(uid) }

// CheckWritable returns nil: it does not know who may write a file.
func CheckWritable(string) error { return nil }

// HasOtherNames returns true: it does not know the names of a file.
func HasOtherNames(fs.FileInfo) bool { return true }
