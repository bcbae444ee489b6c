package db

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"
)

// A text matches a search that it contains, in upper or lower case and whether
// accented letters are composed or decomposed. What the databases know of case
// depends on how they were built and set up, so the rule is in patterns made
// here. The indexes of trigrams give candidates: they may hold too many rows,
// and never too few.

// maxTrigrams bounds those of a search that an index is asked for.
const maxTrigrams = 8

// searchForms returns the search as it was sent, composed and decomposed.
func searchForms(search string) []string {
	forms := []string{search}
	for _, form := range []string{norm.NFC.String(search), norm.NFD.String(search)} {
		if !slices.Contains(forms, form) {
			forms = append(forms, form)
		}
	}
	return forms
}

// trigrams returns some of the trigrams of a text, from everywhere in it.
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
	some := make([]string, maxTrigrams)
	for i := range some {
		some[i] = all[i*(len(all)-1)/(maxTrigrams-1)]
	}
	return some
}

// postgresSearch is the condition that one of the columns holds the search. The
// whole pattern is hidden from the index, which would take it apart for long.
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

// sqliteSearch is the same for SQLite, where a table of its own has the
// trigrams. A text that is too short for it is looked for in every row.
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

// matchExpression is FTS5's for a row with the trigrams of a text, empty where
// it has none.
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

// variants returns the characters that differ from r in case only, but of those
// that FTS5 takes for equal one. It knows the cases of Unicode 6.
func variants(r rune) []rune {
	var found []rune
	for variant := unicode.SimpleFold(r); ; variant = unicode.SimpleFold(variant) {
		one := variant
		if variant < 0x250 || variant >= 0x386 && variant < 0x528 || variant >= 0x531 && variant < 0x588 { // Latin, Greek and Cyrillic, Armenian
			one = unicode.ToLower(variant)
		}
		if !slices.Contains(found, one) {
			found = append(found, one)
		}
		if variant == r {
			return found
		}
	}
}

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
