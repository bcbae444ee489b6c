package middleware

import (
	"net/http"

	"github.com/rs/cors"
)

// CORS lets pages of the given origins read responses; "*" stands for any
// origin. Browsers never send credentials of their own accord.
func CORS(origins []string, next http.Handler) http.Handler {
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
