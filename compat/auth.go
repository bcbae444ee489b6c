package compat

import (
	"errors"
	"net/http"
	"strings"
	"time"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/changefeed"
	"portfolio/internal/telemetry"
)

// authorize authenticates the client, and responds to the current user.
func (h *Handler) authorize(r *http.Request, t target, buffer []byte) (resp response) {
	start := time.Now()
	key, detail := tokenKey(headerValue(r, "Authorization", ""))
	if detail != "" {
		return detailResponse(buffer, http.StatusUnauthorized, detail)
	}
	session, err := h.authenticator.Authenticate(r.Context(), key)
	if err == nil {
		err = session.Do(r.Context(), func(viewer *db.User) { //nolint:contextcheck // r has the context
			telemetry.RequestFrom(r.Context()).UserID = viewer.ID
			resp = h.dispatch(r, t, viewer, session.Barrier(), start, buffer)
		})
	}
	switch {
	case err == nil:
		return resp
	case errors.Is(err, auth.ErrInvalidToken):
		return detailResponse(buffer, http.StatusUnauthorized, "Invalid token.")
	case errors.Is(err, auth.ErrInactiveUser):
		return detailResponse(buffer, http.StatusUnauthorized, "User inactive or deleted.")
	}
	return h.failure(r.Context(), err, buffer)
}

// dispatch checks the permission of the viewer, and then the method.
func (h *Handler) dispatch(r *http.Request, t target, viewer *db.User, barrier changefeed.Barrier, start time.Time, buffer []byte) response {
	if !auth.Allowed(viewer, auth.PermissionPortfolioLink) {
		return detailResponse(buffer, http.StatusForbidden, "You do not have permission to perform this action.")
	}
	switch method := strings.ToUpper(r.Method); method {
	case http.MethodGet, http.MethodHead:
		return h.lookUp(r, t, viewer, barrier, start, buffer)
	case http.MethodOptions:
		return response{status: http.StatusOK, body: append(buffer, optionsBody...)}
	default:
		return detailResponse(buffer, http.StatusMethodNotAllowed, `Method "`+method+`" not allowed.`)
	}
}

// tokenKey returns the key in an Authorization header, or the error message of the
// legacy framework.
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
