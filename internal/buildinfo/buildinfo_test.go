package buildinfo

import (
	"regexp"
	"testing"
)

func TestBuild_PrintsValuesOfLinker(t *testing.T) {
	version, commit, date = "v1.2.3", "abcdef", "2026-01-13T10:05:43Z"
	t.Cleanup(func() { version, commit, date = "", "", "" })
	want := `^portfolio\S* v1\.2\.3, commit abcdef, 2026-01-13T10:05:43Z, go1\.\S+$`
	if got := Read().String(); !regexp.MustCompile(want).MatchString(got) {
		t.Errorf("got %q, want %s", got, want)
	}
}
