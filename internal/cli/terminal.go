package cli

import (
	"io"
	"os"
)

// isTerminal reports whether w is a terminal, which logs are text on.
func isTerminal(w io.Writer) bool {
	file, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := file.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
