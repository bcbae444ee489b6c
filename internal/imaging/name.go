package imaging

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"path"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

const (
	maxName = 255 // characters of the name that is shown
	maxStem = 120 // bytes of a file's name, which grows to 255 at most
)

// cleanName makes the name that is shown of the name that a client gave to a
// file: without folder and extension, and without characters that are not
// seen or that turn the direction of text. Where none is left it is image.
func cleanName(given string) string {
	given = given[strings.LastIndexAny(given, `/\`)+1:]
	given = strings.TrimSuffix(given, path.Ext(given))
	given = norm.NFC.String(strings.ToValidUTF8(given, ""))
	given = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner: // parts of words and of emoji
			return r
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, given))
	if runes := []rune(given); len(runes) > maxName {
		given = string(runes[:maxName])
	}
	return cmp.Or(given, "image")
}

const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'

// stem makes of a name what a file may be called everywhere, as Django does:
// letters, digits, dots, dashes and underscores.
func stem(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '_', r == '-', r == '.':
			return r
		}
		return -1
	}, name)
	for len(name) > maxStem {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	name = strings.Trim(name, ".")
	if name == "" {
		return "image"
	}
	if device, _, _ := strings.Cut(strings.ToUpper(name), "."); reserved[device] {
		return "_" + name
	}
	return name
}

// reserved are the names that Windows keeps for devices, whatever follows the
// first dot.
var reserved = func() map[string]bool {
	names := map[string]bool{"CON": true, "PRN": true, "AUX": true, "NUL": true}
	for i := range 10 {
		names[fmt.Sprintf("COM%d", i)], names[fmt.Sprintf("LPT%d", i)] = true, true
	}
	return names
}()

// folderOf is where the files of a day are.
func folderOf(day time.Time) string { return day.UTC().Format("core_media/2006/01/02") }

// thumbnailKey is the legacy system's name of a thumbnail for the file at key.
func thumbnailKey(key string, box int, extension string) string {
	folder, name := path.Split(key)
	return fmt.Sprintf("%sthumbnails/%s_thumbnail_%dx%d%s", folder, strings.TrimSuffix(name, path.Ext(name)), box, box, extension)
}

// otherKey is a name to try where key is taken.
func otherKey(key string) string {
	extension := path.Ext(key)
	return strings.TrimSuffix(key, extension) + "_" + randomText(7) + extension
}

func randomText(length int) string { return rand.Text()[:length] }
