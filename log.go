package main

import (
	"io"
	"log/slog"
	"os"

	"portfolio/internal/middleware"
)

// newLogger returns the logger of the program. The format auto is text on a
// terminal, and otherwise JSON.
func newLogger(stderr io.Writer, format string, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	var handler slog.Handler = slog.NewJSONHandler(stderr, options)
	if format == "text" || format == "auto" && isTerminal(stderr) {
		handler = slog.NewTextHandler(stderr, options)
	}
	return slog.New(middleware.RequestIDHandler{Handler: handler})
}

func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
