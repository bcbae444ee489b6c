package middleware

import "net/http"

// SecurityHeaders makes browsers treat responses as data: they run no script of a response, and
// show it in no frame. X-Frame-Options would add nothing, because frame-ancestors overrides it.
func SecurityHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Content-Security-Policy"] = contentSecurityPolicy
		header["Referrer-Policy"] = referrerPolicy
		header["X-Content-Type-Options"] = contentTypeOptions
		next.ServeHTTP(w, r)
	})
}

// Header values that all responses share. They must not be modified.
var (
	contentSecurityPolicy = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	referrerPolicy        = []string{"same-origin"}
	contentTypeOptions    = []string{"nosniff"}
)
