package middleware

import (
	"net/http"

	"github.com/rs/cors"
)

// Origins lets pages of the given origins read the answers, "*" all pages.
// Browsers never send credentials of their own.
func Origins(origins []string, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return next
	}
	return cors.New(cors.Options{
		AllowedOrigins: origins,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-Id"},
		MaxAge:         7200,
	}).Handler(next)
}

// Headers tells browsers that an answer is data: nothing in it runs, and no
// page may frame it.
func Headers(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		header := w.Header()
		header["Content-Security-Policy"] = contentSecurityPolicy
		header["Referrer-Policy"] = referrerPolicy
		header["X-Content-Type-Options"] = contentTypeOptions
		header["X-Frame-Options"] = frameOptions
		next.ServeHTTP(w, r)
	})
}

// Header values are shared by all answers: nobody writes to them.
var (
	contentSecurityPolicy = []string{"default-src 'none'; frame-ancestors 'none'; sandbox"}
	referrerPolicy        = []string{"same-origin"}
	contentTypeOptions    = []string{"nosniff"}
	frameOptions          = []string{"DENY"}
)
