package middleware

import "net/http"

// SecurityHeaders tells browsers to treat responses as data: to run nothing in
// them, and to show them in no frame. X-Frame-Options would say nothing more: browsers
// ignore it beside frame-ancestors.
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
