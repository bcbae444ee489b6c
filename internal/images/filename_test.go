package images_test

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"portfolio/internal/storage/storagetest"
)

// withoutSuffix returns a path without its random suffix.
func withoutSuffix[T ~string](path T) string {
	return regexp.MustCompile(`_[A-Z2-7]{7}([._])`).ReplaceAllString(string(path), "$1")
}

// TestSave_DerivesNames checks the displayed name and the file name of an image.
func TestSave_DerivesNames(t *testing.T) {
	t.Parallel()
	content := encodePNG(t, 1, 1)
	for filename, want := range map[string][2]string{
		"technology.png":                  {"technology", "technology.png"},
		"my photo.of me.JPEG":             {"my photo.of me", "my_photo.of_me.png"},
		"../../../etc/passwd.png":         {"passwd", "passwd.png"},
		`C:\Users\me\cat.png`:             {"cat", "cat.png"},
		"":                                {"image", "image.png"},
		".png":                            {"image", "image.png"},
		"...":                             {"..", "image.png"},
		"a\x00b.png":                      {"ab", "ab.png"},
		"<script>.png":                    {"<script>", "script.png"},
		"CON.png":                         {"CON", "_CON.png"},
		"com1.tar.png":                    {"com1.tar", "_com1.tar.png"},
		"invoice\u202egnp.exe":            {"invoicegnp", "invoicegnp.png"},
		"می\u200cخواهم.png":               {"می\u200cخواهم", "میخواهم.png"},
		"cafe\u0301.png":                  {"café", "café.png"},
		"bad\xffutf8.png":                 {"badutf8", "badutf8.png"},
		strings.Repeat("n", 300) + ".png": {strings.Repeat("n", 255), strings.Repeat("n", 120) + ".png"},
		strings.Repeat("م", 300) + ".png": {strings.Repeat("م", 255), strings.Repeat("م", 60) + ".png"},
		"LPT9.png":                        {"LPT9", "_LPT9.png"},
		"com10.png":                       {"com10", "com10.png"},
		"nul":                             {"nul", "_nul.png"},
	} {
		day := time.Now().UTC().Format("core_media/2006/01/02/")
		saved := save(t, storagetest.Directory(t), filename, content)
		file := strings.TrimPrefix(string(saved.Path), day)
		if got := [2]string{saved.Name, withoutSuffix(file)}; got != want || got[1] == file {
			t.Errorf("%q: %q, %s, want %q", filename, got, file, want)
		}
	}
}
