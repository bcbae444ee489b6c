package main

import (
	"cmp"
	"fmt"
	"runtime/debug"
)

// Set by the linker, as in -ldflags "-X main.version=v1.2.3", for builds outside
// of the repository.
var version, commit, date string

// build describes this binary.
type build struct {
	Module  string `json:"module"`
	Version string `json:"version"`
	Commit  string `json:"commit,omitempty"`
	Date    string `json:"date,omitempty"` // of the commit
	Go      string `json:"go"`
}

// readBuild returns what the linker was told, or else what the Go command
// recorded.
func readBuild() build {
	found := build{Module: "portfolio", Version: version, Commit: commit, Date: date}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return found
	}
	found.Module, found.Go = cmp.Or(info.Main.Path, found.Module), info.GoVersion
	found.Version = cmp.Or(version, info.Main.Version)
	modified := ""
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			found.Commit = cmp.Or(commit, setting.Value)
		case "vcs.time":
			found.Date = cmp.Or(date, setting.Value)
		case "vcs.modified":
			if setting.Value == "true" && commit == "" {
				modified = "-modified"
			}
		}
	}
	if found.Commit != "" {
		found.Commit += modified
	}
	return found
}

// String returns the line that --version prints.
func (b build) String() string {
	return fmt.Sprintf("%s %s, commit %s, %s, %s", b.Module, cmp.Or(b.Version, "(devel)"), cmp.Or(b.Commit, "unknown"), cmp.Or(b.Date, "date unknown"), b.Go)
}
