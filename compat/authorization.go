package compat

import (
	"errors"

	"portfolio/internal/auth"
)

// tokenKey returns the key in an Authorization header, or what the old
// framework says is wrong with it.
func tokenKey(header string) (key, detail string) {
	scheme, key, err := auth.ParseHeader(header)
	switch {
	case scheme != "token":
		return "", "Authentication credentials were not provided."
	case errors.Is(err, auth.ErrNoKey):
		return "", "Invalid token header. No credentials provided."
	case errors.Is(err, auth.ErrSpaces):
		return "", "Invalid token header. Token string should not contain spaces."
	case errors.Is(err, auth.ErrNotUTF8):
		return "", "Invalid token header. Token string should not contain invalid characters."
	}
	return key, ""
}
