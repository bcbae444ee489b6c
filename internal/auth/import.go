package auth

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
	"unicode/utf8"

	"portfolio/db"
)

// minImportedKey is the minimum number of characters of a key. Shorter keys can be guessed. Keys of the
// legacy system have 40 characters.
const minImportedKey = 32

// ReadTokens reads lines of key,username as CSV. It returns the tokens, and the line number of each
// token.
func ReadTokens(input io.Reader) (tokens []db.ImportedToken, lines []int, err error) {
	buffered := bufio.NewReader(input)
	if bom, _ := buffered.Peek(3); string(bom) == "\ufeff" { // from programs on Windows
		_, _ = buffered.Discard(len(bom))
	}
	records := csv.NewReader(buffered)
	records.FieldsPerRecord = -1 // checked below
	for {
		record, err := records.Read()
		if err == io.EOF {
			return tokens, lines, nil
		}
		if malformed, ok := errors.AsType[*csv.ParseError](err); ok {
			return nil, nil, fmt.Errorf("line %d: %w; nothing was imported", malformed.Line, malformed.Err)
		}
		if err != nil {
			return nil, nil, err
		}
		line, _ := records.FieldPos(0)
		invalid := errNoKeyUsername
		if len(record) == 2 {
			invalid = CheckIssuedKey(record[0])
		}
		if errors.Is(invalid, errNotKey) || invalid == nil && record[1] == "" {
			invalid = errNoKeyUsername
		}
		if invalid != nil {
			return nil, nil, fmt.Errorf("line %d: %w; nothing was imported", line, invalid)
		}
		tokens = append(tokens, db.ImportedToken{KeyHash: HashKey(record[0]), Username: record[1]})
		lines = append(lines, line)
	}
}

var (
	errNoKeyUsername = errors.New("not key,username")
	errNotKey        = errors.New("not a key that an Authorization header can carry")
)

// CheckIssuedKey returns an error unless a key of another system can be imported.
func CheckIssuedKey(key string) error {
	if !isKey(key) {
		return errNotKey
	}
	if utf8.RuneCountInString(key) < minImportedKey {
		return fmt.Errorf("the key has fewer than %d characters", minImportedKey)
	}
	return nil
}

// isKey reports whether an Authorization header can carry the key.
func isKey(key string) bool {
	return key != "" && utf8.ValidString(key) && !strings.ContainsFunc(key, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
}
