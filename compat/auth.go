package compat

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"portfolio/internal/auth"
	"portfolio/internal/telemetry"
)

// authorize authenticates the client and responds to who it turns out to be.
func (h *Handler) authorize(r *http.Request, to target, buffer []byte) response {
	start := time.Now()
	key, detail := tokenKey(headerValue(r, "Authorization", ""))
	if detail != "" {
		return detailResponse(buffer, http.StatusUnauthorized, detail)
	}
	login, err := h.authenticator.LogIn(r.Context(), key)
	resp := h.respondTo(r, to, login, err, start, buffer)
	if err != nil {
		return resp
	}
	changed, err := login.Confirm(r.Context())
	if err == nil {
		telemetry.RequestFrom(r.Context()).UserID = login.Viewer.ID
	}
	if changed {
		return h.respondTo(r, to, login, err, start, buffer)
	}
	return resp
}

// respondTo checks the permission of a viewer, unless there is an error, and dispatches
// on the method.
func (h *Handler) respondTo(r *http.Request, to target, login *auth.Login, err error, start time.Time, buffer []byte) response {
	switch {
	case errors.Is(err, auth.ErrInvalidToken):
		return detailResponse(buffer, http.StatusUnauthorized, "Invalid token.")
	case errors.Is(err, auth.ErrInactiveUser):
		return detailResponse(buffer, http.StatusUnauthorized, "User inactive or deleted.")
	case err != nil:
		return h.failure(r.Context(), err, buffer)
	case !auth.Allowed(login.Viewer, auth.PermissionPortfolioLink):
		return detailResponse(buffer, http.StatusForbidden, "You do not have permission to perform this action.")
	}
	switch method := strings.ToUpper(r.Method); method {
	case http.MethodGet, http.MethodHead:
		return h.serve(r, to, login, start, buffer)
	case http.MethodOptions:
		return response{status: http.StatusOK, body: append(buffer, optionsBody...)}
	default:
		return detailResponse(buffer, http.StatusMethodNotAllowed, `Method "`+method+`" not allowed.`)
	}
}

// tokenKey returns the key in an Authorization header, or the legacy
// framework's message about what is wrong with it.
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
