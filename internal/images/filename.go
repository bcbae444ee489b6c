package images

import (
	"cmp"
	"crypto/rand"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"

	"portfolio/internal/storage"
)

const (
	maxNameLength     = 255 // characters of the displayed name
	maxFilenameLength = 120 // bytes; suffixes extend it to 255 at most
)

// displayName returns the name to display for a file that the client names filename. It removes the
// directory, the extension, invisible characters, and characters that change the direction of text.
// It defaults to image.
func displayName(filename string) string {
	name := filename[strings.LastIndexAny(filename, `/\`)+1:]
	name = strings.TrimSuffix(name, path.Ext(name))
	name = norm.NFC.String(strings.ToValidUTF8(name, ""))
	name = strings.TrimSpace(strings.Map(func(r rune) rune {
		switch {
		case r == zeroWidthNonJoiner, r == zeroWidthJoiner: // parts of words and of emoji
			return r
		case unicode.In(r, unicode.C, unicode.Zl, unicode.Zp):
			return -1
		}
		return r
	}, name))
	if runes := []rune(name); len(runes) > maxNameLength {
		name = string(runes[:maxNameLength])
	}
	return cmp.Or(name, "image")
}

const zeroWidthNonJoiner, zeroWidthJoiner = '\u200c', '\u200d'

// safeFilename returns a portable file name, without extension, by Django's
// rules: letters, digits, dots, dashes and underscores.
func safeFilename(name string) string {
	name = strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '_'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '_', r == '-', r == '.':
			return r
		}
		return -1
	}, name)
	for len(name) > maxFilenameLength {
		_, size := utf8.DecodeLastRuneInString(name)
		name = name[:len(name)-size]
	}
	name = strings.Trim(name, ".")
	if name == "" {
		return "image"
	}
	if isReserved(name) {
		return "_" + name
	}
	return name
}

// isReserved reports whether Windows reserves the name for a device, with any extension.
func isReserved(name string) bool {
	device, _, _ := strings.Cut(strings.ToUpper(name), ".")
	switch device {
	case "CON", "PRN", "AUX", "NUL":
		return true
	}
	digit := strings.TrimPrefix(strings.TrimPrefix(device, "COM"), "LPT")
	return len(device) == 4 && len(digit) == 1 && digit[0] >= '0' && digit[0] <= '9'
}

// thumbnailKey returns the key of a thumbnail of the file at key, named as in
// the legacy system.
func thumbnailKey(key string, box int, extension string) string {
	directory, name := path.Split(key)
	return fmt.Sprintf("%s%s/%s_thumbnail_%dx%d%s", directory, storage.ThumbnailDirectory, strings.TrimSuffix(name, path.Ext(name)), box, box, extension)
}

// uniqueKey returns the key with a random suffix, which the legacy system adds to
// a name that is taken.
func uniqueKey(key string) string {
	extension := path.Ext(key)
	return strings.TrimSuffix(key, extension) + "_" + rand.Text()[:7] + extension
}
