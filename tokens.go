package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"unicode"
	"unicode/utf8"

	"portfolio/db"
	"portfolio/internal/auth"
)

type tokenImportCommand struct {
	File string `arg:"" help:"Lines of key,username as CSV; - is standard input."`
}

func (c *tokenImportCommand) Run(ctx context.Context, flags *globalFlags, out streams) error {
	input := io.Reader(os.Stdin)
	if c.File != "-" {
		file, err := os.Open(c.File)
		if err != nil {
			return err
		}
		defer func() { _ = file.Close() }()
		input = file
	}
	tokens, lines, err := readTokens(input)
	if err != nil {
		return err
	}
	return flags.withDB(ctx, false, func(database *db.DB) error {
		added, err := database.ImportTokens(ctx, tokens)
		if failed, ok := errors.AsType[*db.ImportError](err); ok {
			return fmt.Errorf("line %d: %w; nothing was imported", lines[failed.Index], err)
		}
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(out.stdout, "Imported %d tokens; %d were there already.\n", added, len(tokens)-added)
		return err
	})
}

// readTokens reads key,username lines; lines holds the number of each.
func readTokens(input io.Reader) (tokens []db.ImportedToken, lines []int, err error) {
	buffered := bufio.NewReader(input)
	if mark, _ := buffered.Peek(3); string(mark) == "\ufeff" { // written by programs on Windows
		_, _ = buffered.Discard(len(mark))
	}
	records := csv.NewReader(buffered)
	records.FieldsPerRecord = -1
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
		if len(record) != 2 || !isKey(record[0]) || record[1] == "" {
			return nil, nil, fmt.Errorf("line %d: not key,username; nothing was imported", line)
		}
		tokens = append(tokens, db.ImportedToken{KeyHash: auth.HashKey(record[0]), Username: record[1]})
		lines = append(lines, line)
	}
}

// isKey reports whether a header could carry the key.
func isKey(key string) bool {
	return key != "" && utf8.ValidString(key) && !strings.ContainsFunc(key, func(r rune) bool {
		return unicode.IsSpace(r) || unicode.IsControl(r)
	})
}
