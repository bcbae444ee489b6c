package db

import (
	"strings"
	"unicode"
)

// globPattern finds text in any case by SQLite's GLOB.
func globPattern(text string) string {
	return "*" + casePattern(text, func(r rune) string {
		if strings.ContainsRune("*?[", r) {
			return "[" + string(r) + "]"
		}
		return string(r)
	}) + "*"
}

// regexPattern finds text in any case by a regular expression.
func regexPattern(text string) string {
	return casePattern(text, func(r rune) string {
		if r < unicode.MaxASCII && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return `\` + string(r)
		}
		return string(r)
	})
}

func casePattern(text string, plain func(rune) string) string {
	var pattern strings.Builder
	for _, r := range text {
		folded := unicode.SimpleFold(r)
		if folded == r {
			pattern.WriteString(plain(r))
			continue
		}
		pattern.WriteByte('[')
		pattern.WriteRune(r)
		for ; folded != r; folded = unicode.SimpleFold(folded) {
			pattern.WriteRune(folded)
		}
		pattern.WriteByte(']')
	}
	return pattern.String()
}
