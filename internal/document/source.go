package document

import (
	"cmp"
	"errors"
	"math"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"

	"portfolio/internal/apierror"
)

// parseQuery parses a document. It corrects errors of gqlparser's lexer: in the values of block
// strings, in locations, and with texts that are not GraphQL.
func parseQuery(text string, maxTokens int) (*ast.QueryDocument, *source, *gqlerror.Error) {
	source := scan(text, maxTokens)
	query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: source.text}, maxTokens)
	if syntaxErr, ok := errors.AsType[*gqlerror.Error](err); ok {
		for i, location := range syntaxErr.Locations {
			syntaxErr.Locations[i] = source.locate(location)
		}
		if source.err != nil && source.isFirst(syntaxErr.Locations) {
			return nil, nil, source.err
		}
		return nil, nil, apierror.Wrap(syntaxErr, apierror.BadUserInput, syntaxErr.Message)
	}
	if source.err == nil {
		source.err = source.repair(query)
	}
	return query, source, source.err
}

// source is the text of a document, with the locations and values that gqlparser gets wrong.
type source struct {
	text    string                                  // text that gqlparser parses
	strings map[gqlerror.Location]gqlerror.Location // locations of strings, by the locations that gqlparser reports
	starts  map[gqlerror.Location]gqlerror.Location // locations of directives and spreads, by the locations that gqlparser reports
	names   map[gqlerror.Location]gqlerror.Location // locations of names of types and fragments, by the locations of the fragments, spreads and variables that have the names
	blocks  map[gqlerror.Location]string            // values of block strings by their locations
	err     *gqlerror.Error                         // the first error that gqlparser does not report
	errAt   gqlerror.Location                       // location of the token that has the error
}

// locate returns the location of the token for which gqlparser reports location.
func (s *source) locate(location gqlerror.Location) gqlerror.Location {
	if start, ok := s.strings[location]; ok {
		return start
	}
	return location
}

// isFirst reports whether no location is before the token of s.err.
func (s *source) isFirst(locations []gqlerror.Location) bool {
	return !slices.ContainsFunc(locations, func(location gqlerror.Location) bool {
		return cmp.Or(cmp.Compare(location.Line, s.errAt.Line), cmp.Compare(location.Column, s.errAt.Column)) < 0
	})
}

// lineTerminators replaces all line terminators by LF, which is equivalent. After CR LF, gqlparser
// counts one column too many.
var lineTerminators = strings.NewReplacer("\r\n", "\n", "\r", "\n")

// scan finds at most maxTokens+1 tokens of a text, since gqlparser rejects a text with more than
// maxTokens. gqlparser also returns the error where the text has no valid token.
func scan(text string, maxTokens int) *source {
	s := newScanner(lineTerminators.Replace(text))
	s.run(maxTokens)
	if s.adjacent == nil {
		return s.source
	}
	// gqlparser takes the quote after a block string for a part of it.
	var builder strings.Builder
	rest := 0
	for _, block := range s.adjacent {
		builder.WriteString(s.text[rest:block.start] + separateBlock(s.text[block.start:block.end]))
		rest = block.end
	}
	blocks := s.blocks
	s = newScanner(builder.String() + s.text[rest:])
	s.run(maxTokens)
	s.blocks = blocks
	return s.source
}

// separateBlock returns a string and white space that have as many lines and columns as block, so
// that the tokens after it keep their locations. The value of the string differs.
func separateBlock(block string) string {
	const quotes = `"""`
	line := strings.LastIndexByte(block, '\n')
	width := utf8.RuneCountInString(block[line+1:])
	switch {
	case line >= 0:
		return quotes + strings.Repeat("\n", strings.Count(block, "\n")-1) + quotes + "\n" + strings.Repeat(" ", width)
	case width == len(quotes+quotes):
		return `""    `
	}
	return quotes + strings.Repeat(" ", width-len(quotes+" "+quotes)) + quotes + " "
}

// scanner reads the tokens of a document.
type scanner struct {
	*source
	offset     int               // bytes
	location   gqlerror.Location // of the offset, in characters
	tokenStart gqlerror.Location // of the current token
	sigil      gqlerror.Location // of the @ or ... before the current token, if there is one
	adjacent   []span            // block strings that a quote follows
	last       [3]token          // the newest first
}

type token struct {
	text     string
	location gqlerror.Location
}

// span is a part of the text, in bytes.
type span struct{ start, end int }

func newScanner(text string) *scanner {
	s := &scanner{source: &source{text: text}, location: gqlerror.Location{Line: 1, Column: 1}}
	s.strings, s.starts = map[gqlerror.Location]gqlerror.Location{}, map[gqlerror.Location]gqlerror.Location{}
	s.names, s.blocks = map[gqlerror.Location]gqlerror.Location{}, map[gqlerror.Location]string{}
	if !utf8.ValidString(text) {
		s.err = apierror.BadInput("The document is not UTF-8.")
	}
	return s
}

func (s *scanner) run(maxTokens int) {
	for tokens := 0; s.offset < len(s.text) && tokens <= maxTokens; {
		switch c := s.text[s.offset]; {
		case c == '#':
			s.skipWhile(func(c byte) bool { return c != '\n' })
		case isIgnored(s.text[s.offset:]):
			s.skip(1)
		default:
			if s.sigil.Line > 0 {
				s.starts[s.location], s.sigil = s.sigil, gqlerror.Location{}
			}
			s.tokenStart = s.location
			start := s.offset
			s.token(c)
			s.recordName(token{s.text[start:s.offset], s.tokenStart})
			tokens++
		}
	}
}

// recordName records the location of the type or name in ...F, ... on T and fragment F on T.
func (s *scanner) recordName(current token) {
	last := s.last
	s.last = [3]token{current, last[0], last[1]}
	switch {
	case !isNameStart(current.text[0]):
	case last[0].text == "..." && current.text != "on":
		s.names[last[0].location] = current.location
	case last[0].text == "on" && last[1].text == "...":
		s.names[last[1].location] = current.location
	case last[0].text == "on" && last[2].text == "fragment":
		s.names[last[2].location] = current.location
	}
}

// isIgnored reports whether the text begins with white space, a comma or a byte order mark.
func isIgnored(text string) bool {
	return strings.IndexByte("\t\n ,", text[0]) >= 0 || strings.HasPrefix(text, "\uFEFF")
}

// token skips the token that begins with c.
func (s *scanner) token(c byte) {
	rest := s.text[s.offset:]
	switch {
	case strings.HasPrefix(rest, `"""`):
		s.blockString()
	case c == '"':
		s.quotedString()
	case c == '@':
		s.sigil = s.location
		s.skip(1)
	case strings.HasPrefix(rest, "..."):
		s.sigil = s.location
		s.skip(3)
	case c == '-' || isDigit(c):
		s.number()
	case isNameStart(c):
		s.skipWhile(func(c byte) bool { return isNameStart(c) || isDigit(c) })
	default:
		s.skip(1)
	}
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

func isNameStart(c byte) bool { return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c == '_' }

// skip skips characters.
func (s *scanner) skip(n int) {
	for ; n > 0 && s.offset < len(s.text); n-- {
		_, size := utf8.DecodeRuneInString(s.text[s.offset:])
		s.location.Column++
		if s.text[s.offset] == '\n' {
			s.location = gqlerror.Location{Line: s.location.Line + 1, Column: 1}
		}
		s.offset += size
	}
}

func (s *scanner) skipWhile(matches func(byte) bool) {
	for s.offset < len(s.text) && matches(s.text[s.offset]) {
		s.skip(1)
	}
}

// reject records an error at the offset, unless there is an earlier error.
func (s *scanner) reject(format string, args ...any) {
	if s.err == nil {
		s.err = apierror.BadInput(format, args...)
		s.err.Locations, s.errAt = []gqlerror.Location{s.location}, s.tokenStart
	}
}

var (
	numberToken = regexp.MustCompile(`^-?[0-9]*(\.[0-9]*)?([eE][+-]?[0-9]*)?`)
	validNumber = regexp.MustCompile(`^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$`)
)

// number skips a number. gqlparser rejects an invalid number, but accepts a valid number that is
// directly followed by a name.
func (s *scanner) number() {
	token := numberToken.FindString(s.text[s.offset:])
	s.skip(len(token))
	if s.offset < len(s.text) && isNameStart(s.text[s.offset]) && validNumber.MatchString(token) {
		s.reject("Invalid number, expected digit but got: %q.", s.text[s.offset:s.offset+1])
	}
}

// quotedString skips a string. gqlparser replaces an escaped surrogate without its pair, and
// locates the string after its quote.
func (s *scanner) quotedString() {
	s.skip(1)
	s.strings[s.location] = s.tokenStart
	for s.offset < len(s.text) && s.text[s.offset] != '\n' {
		switch s.text[s.offset] {
		case '"':
			s.skip(1)
			return
		case '\\':
			s.escape()
		default:
			s.skip(1)
		}
	}
}

// escape skips an escape sequence.
func (s *scanner) escape() {
	rest := s.text[s.offset:]
	length, ok := escapeLength(rest)
	isEscape := length != 2 || strings.IndexByte(`"\/bfnrt`, rest[1]) >= 0 || strings.HasPrefix(rest, `\u{`)
	if !ok || !isEscape {
		s.reject("Invalid character escape sequence: %s.", rest[:length])
	}
	s.skip(length)
}

// blockString skips a block string. gqlparser treats its first line as indented, ends it at the
// last of more than three quotes, and locates it at its end.
func (s *scanner) blockString() {
	start := s.offset
	s.skip(3)
	for s.offset < len(s.text) && !strings.HasPrefix(s.text[s.offset:], `"""`) {
		if strings.HasPrefix(s.text[s.offset:], `\"""`) {
			s.skip(3)
		}
		s.skip(1)
	}
	// gqlparser counts the column of the first character from the beginning of the last line.
	content := s.text[start:s.offset]
	column := s.tokenStart.Column + len(`"""`)
	if line := strings.LastIndexByte(content, '\n'); line >= 0 {
		column = len(`"""`) - utf8.RuneCountInString(content[:line])
	}
	s.strings[gqlerror.Location{Line: s.location.Line, Column: column}] = s.tokenStart
	s.blocks[s.tokenStart] = blockValue(strings.TrimPrefix(content, `"""`))
	s.skip(3)
	if strings.HasPrefix(s.text[s.offset:], `"`) && !strings.ContainsFunc(content, isControl) { // gqlparser rejects control characters
		s.adjacent = append(s.adjacent, span{start, s.offset})
	}
}

func isControl(r rune) bool { return r < ' ' && r != '\t' && r != '\n' }

// blockValue returns the value of a block string (BlockStringValue in section 2.9.4 of
// the specification).
func blockValue(raw string) string {
	lines, indent := strings.Split(raw, "\n"), math.MaxInt
	for _, line := range lines[1:] {
		if text := strings.TrimLeft(line, " \t"); text != "" {
			indent = min(indent, len(line)-len(text))
		}
	}
	for i, line := range lines[1:] {
		lines[i+1] = line[min(indent, len(line)):]
	}
	isBlank := func(line string) bool { return strings.Trim(line, " \t") == "" }
	for len(lines) > 0 && isBlank(lines[0]) {
		lines = lines[1:]
	}
	for len(lines) > 0 && isBlank(lines[len(lines)-1]) {
		lines = slices.Delete(lines, len(lines)-1, len(lines))
	}
	return strings.ReplaceAll(strings.Join(lines, "\n"), `\"""`, `"""`)
}
