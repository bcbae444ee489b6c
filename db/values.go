package db

import (
	"strings"
	"time"
	"unicode/utf8"
)

// CanStoreText reports whether both databases can store a string.
func CanStoreText(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// CanStoreTime reports whether both databases can store a time.
func CanStoreTime(t time.Time) bool { return t.Year() >= 1 && t.Year() <= 9999 }
