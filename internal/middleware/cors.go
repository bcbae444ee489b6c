package middleware

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/rs/cors"
)

// Origin is the origin of pages that may use the API, such as https://example.org,
// or * for all.
type Origin string

// UnmarshalText implements encoding.TextUnmarshaler. It rejects texts that no browser sends as
// an origin.
func (o *Origin) UnmarshalText(text []byte) error {
	*o = Origin(text)
	if *o == "*" {
		return nil
	}
	if scheme, _, ok := strings.Cut(string(text), "://"); !ok || scheme == "" {
		return fmt.Errorf("%q has no scheme, as in https://example.org", text)
	}
	parsed, err := url.Parse(string(text))
	if err != nil || !validHost(strings.TrimPrefix(parsed.Host, "*.")) || parsed.User != nil {
		return fmt.Errorf("%q is not a scheme and a host, as in https://example.org", text)
	}
	if parsed.Path != "" || parsed.RawQuery != "" || parsed.ForceQuery || strings.Contains(string(text), "#") {
		return fmt.Errorf("%q must end after the host and its port", text)
	}
	if port := parsed.Port(); parsed.Scheme == "https" && port == "443" || parsed.Scheme == "http" && port == "80" {
		return fmt.Errorf("%q must not have the port %s: browsers leave it out", text, port)
	}
	return nil
}

// CORS lets pages of origins, and of the server itself, read responses and use WebSockets. "*"
// stands for any origin. There are no cookies, so browsers never add credentials.
func CORS(origins []Origin, next http.Handler) http.Handler {
	if len(origins) == 0 {
		return checkWebSockets(nil, next)
	}
	allowed := make([]string, len(origins))
	for i, origin := range origins {
		allowed[i] = string(origin)
	}
	policy := cors.New(cors.Options{
		AllowedOrigins: allowed,
		AllowedMethods: []string{http.MethodGet, http.MethodHead, http.MethodPost},
		AllowedHeaders: []string{"*"},
		ExposedHeaders: []string{"ETag", "RateLimit-Limit", "RateLimit-Remaining", "RateLimit-Reset", "Retry-After", "X-Request-Id"},
		MaxAge:         7200,
	})
	return checkWebSockets(policy, policy.Handler(next))
}

// checkWebSockets rejects WebSockets of pages that may not read responses. Browsers let any
// page open a WebSocket.
func checkWebSockets(policy *cors.Cors, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if origin := r.Header.Get("Origin"); origin != "" && r.Header.Get("Upgrade") != "" && !isSameOrigin(origin, r.Host) && (policy == nil || !policy.OriginAllowed(r)) {
			http.Error(w, "The origin of the page is not in CORS_ORIGINS.", http.StatusForbidden)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// isSameOrigin reports whether an http or https origin has the host that the request
// names. Browsers leave out the default port of the scheme; other clients may write it.
func isSameOrigin(origin, host string) bool {
	scheme, page, _ := strings.Cut(origin, "://")
	port, isWeb := map[string]string{"http": ":80", "https": ":443"}[scheme]
	return isWeb && page != "" && strings.EqualFold(strings.TrimSuffix(page, port), strings.TrimSuffix(host, port))
}
