package files

import (
	"os"
	"path/filepath"
)

// Contains reports whether a file is in a directory or below it, by any name and through any
// link. Neither the file nor the directory needs to exist.
func Contains(directory, name string) bool {
	directory = resolve(directory)
	top, _ := os.Stat(directory)
	for _, file := range []string{absolute(name), resolve(name)} {
		for parent := filepath.Dir(resolveParent(file)); ; parent = filepath.Dir(parent) {
			info, err := os.Stat(parent)
			if parent == directory || top != nil && err == nil && os.SameFile(top, info) {
				return true
			}
			if parent == filepath.Dir(parent) {
				break
			}
		}
	}
	return false
}

func absolute(name string) string {
	if path, err := filepath.Abs(name); err == nil {
		return path
	}
	return filepath.Clean(name)
}

// resolve returns an absolute path. It resolves the links of the part that exists.
func resolve(name string) string {
	name = absolute(name)
	if path, err := filepath.EvalSymlinks(name); err == nil {
		return path
	}
	return resolveParent(name)
}

// resolveParent is like resolve, but keeps a link that is the file itself.
func resolveParent(name string) string {
	parent := filepath.Dir(name)
	if parent == name {
		return name
	}
	return filepath.Join(resolve(parent), filepath.Base(name))
}
