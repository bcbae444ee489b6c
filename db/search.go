package db

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A text matches a search if it contains the search, in any case, and with accented letters
// composed or decomposed. Case folding of the databases depends on their builds and settings,
// so the patterns list the cases of each letter. The trigram indexes only select candidates:
// maybe too many rows, but never too few.

// maxTrigrams bounds the trigrams of a search that are looked up in an index.
const maxTrigrams = 8

// searchForms returns the search as given, decomposed, and composed in its own case, in lower
// case and in upper case: U+0130 has no composed form in lower case, and U+01F0 none in upper.
// It leaves out forms that differ from another form in case only.
func searchForms(search string) []string {
	decomposed := norm.NFD.String(search)
	forms := []string{search}
	for _, form := range []string{
		norm.NFC.String(search), decomposed,
		norm.NFC.String(inCase(decomposed, unicode.ToLower)), norm.NFC.String(inCase(decomposed, unicode.ToUpper)),
	} {
		if !slices.ContainsFunc(forms, func(f string) bool { return strings.EqualFold(f, form) }) {
			forms = append(forms, form)
		}
	}
	return forms
}

// inCase converts the characters of a text. It keeps a character if a search would not match
// the converted character.
func inCase(text string, convert func(rune) rune) string {
	return strings.Map(func(r rune) rune {
		if converted := convert(r); r != iotaSubscript && strings.EqualFold(string(converted), string(r)) {
			return converted
		}
		return r
	}, text)
}

// iotaSubscript is a mark of Greek vowels. Unicode folds it to the letter iota, its form in
// upper case. With that rule, a vowel with the mark would match a vowel and iota, but not the
// reverse.
const iotaSubscript = '\u0345'

// nextCase returns the next of the characters that differ from r in case only. The first
// follows the last.
func nextCase(r rune) rune {
	if r == iotaSubscript {
		return r
	}
	next := unicode.SimpleFold(r)
	if next == iotaSubscript {
		next = unicode.SimpleFold(next)
	}
	return next
}

// trigrams returns at most maxTrigrams trigrams from the whole text.
func trigrams(text string) []string {
	runes, all := []rune(text), []string{}
	for i := range max(0, len(runes)-2) {
		if trigram := string(runes[i : i+3]); !slices.Contains(all, trigram) {
			all = append(all, trigram)
		}
	}
	if len(all) <= maxTrigrams {
		return all
	}
	sample := make([]string, maxTrigrams)
	for i := range sample {
		sample[i] = all[i*(len(all)-1)/(maxTrigrams-1)]
	}
	return sample
}

// postgresSearch returns the condition that one of the columns contains the
// search. The complete pattern is matched against an expression without an
// index: extracting all its trigrams for the index would take long.
func postgresSearch(search string, columns []string) (text string, args []any) {
	var matches []string
	for _, form := range searchForms(search) {
		for _, column := range columns {
			var all []string
			for _, trigram := range trigrams(form) {
				all, args = append(all, column+" ~ ?"), append(args, regexPattern(trigram))
			}
			all, args = append(all, column+" || '' ~ ?"), append(args, regexPattern(form))
			matches = append(matches, strings.Join(all, " AND "))
		}
	}
	return "(" + strings.Join(matches, " OR ") + ")", args
}

// sqliteSearch returns the condition of postgresSearch for SQLite, whose trigram index is
// a separate table. A search without trigrams reads every row.
func sqliteSearch(search, table string, columns []string) (text string, args []any) {
	var candidates, matches []string
	for _, form := range searchForms(search) {
		candidates = append(candidates, matchExpression(form))
		for _, column := range columns {
			matches, args = append(matches, column+" GLOB ?"), append(args, globPattern(form))
		}
	}
	text = "(" + strings.Join(matches, " OR ") + ")"
	if !slices.Contains(candidates, "") {
		index := table + "_search"
		text += " AND id IN (SELECT rowid FROM " + index + " WHERE " + index + " MATCH ?)"
		args = append(args, strings.Join(candidates, " OR "))
	}
	return text, args
}

// matchExpression returns the FTS5 query for rows with the trigrams of a text,
// or "" if it has none.
func matchExpression(text string) string {
	var all []string
	for _, trigram := range trigrams(text) {
		spellings := []string{""}
		for _, r := range trigram {
			var longer []string
			for _, spelling := range spellings {
				for _, variant := range variants(r) {
					longer = append(longer, spelling+string(variant))
				}
			}
			spellings = longer
		}
		for i, spelling := range spellings {
			spellings[i] = `"` + strings.ReplaceAll(spelling, `"`, `""`) + `"`
		}
		all = append(all, "("+strings.Join(spellings, " OR ")+")")
	}
	if all == nil {
		return ""
	}
	return "(" + strings.Join(all, " AND ") + ")"
}

// variants returns r and the characters that differ from it in case only. FTS5
// folds case by Unicode 6: variants returns one of the
// characters that FTS5 folds together. It does not fold U+0130, whose lower case is two characters.
func variants(r rune) []rune {
	var all []rune
	for variant := unicode.SimpleFold(r); ; variant = unicode.SimpleFold(variant) {
		folded := variant
		if unicode.SimpleFold(variant) != variant && (variant < 0x250 || variant >= 0x386 && variant < 0x528 || variant >= 0x531 && variant < 0x588) { // Latin, Greek and Cyrillic, Armenian
			folded = unicode.ToLower(variant)
		}
		if !slices.Contains(all, folded) {
			all = append(all, folded)
		}
		if variant == r {
			return all
		}
	}
}

// globPattern returns the pattern for SQLite's GLOB that finds text in any case.
func globPattern(text string) string {
	return "*" + casePattern(text, func(r rune) string {
		if strings.ContainsRune("*?[", r) {
			return "[" + string(r) + "]"
		}
		return string(r)
	}) + "*"
}

// regexPattern returns the regular expression that finds text in any case.
func regexPattern(text string) string {
	return casePattern(text, func(r rune) string {
		if r < unicode.MaxASCII && !unicode.IsLetter(r) && !unicode.IsDigit(r) {
			return `\` + string(r)
		}
		return string(r)
	})
}

// casePattern replaces each letter by the class of its cases, and each other
// character by its quoted form.
func casePattern(text string, quote func(rune) string) string {
	var pattern strings.Builder
	for _, r := range text {
		folded := nextCase(r)
		if folded == r {
			pattern.WriteString(quote(r))
			continue
		}
		pattern.WriteByte('[')
		pattern.WriteRune(r)
		for ; folded != r; folded = nextCase(folded) {
			pattern.WriteRune(folded)
		}
		pattern.WriteByte(']')
	}
	return pattern.String()
}
