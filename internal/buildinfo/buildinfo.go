// Package buildinfo describes the binary.
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// Set by the linker, as in -ldflags "-X portfolio/internal/buildinfo.version=v1.2.3", for builds outside
// of the repository.
var version, commit, date string

// Build describes this binary.
type Build struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"` // of the commit
	Go      string `json:"go"`
}

// Read returns the values that the linker set, or else the values that the Go command recorded.
func Read() Build {
	build := Build{Module: "portfolio", Version: version, Commit: commit, Date: date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return build
	}
	build.Module, build.Go = cmp.Or(info.Main.Path, build.Module), info.GoVersion
	build.Version = cmp.Or(version, info.Main.Version)
	modified := ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			build.Commit = cmp.Or(commit, setting.Value)
		case "vcs.time":
			build.Date = cmp.Or(date, setting.Value)
		case "vcs.modified":
			if setting.Value == "true" && commit == "" {
				modified = "-modified"
			}
		}
	}
	if build.Commit != "" {
		build.Commit += modified
	}
	return build
}

// String returns the line that --version prints.
func (b Build) String() string {
	return fmt.Sprintf("%s %s, commit %s, %s, %s", b.Module, cmp.Or(b.Version, "(devel)"), cmp.Or(b.Commit, "unknown"), cmp.Or(b.Date, "date unknown"), b.Go)
}
