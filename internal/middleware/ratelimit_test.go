package middleware

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/internal/admission"
)

// limitResult is what a client learns about its limit from a response.
type limitResult struct {
	Status                       int
	Remaining, Reset, RetryAfter string
}

// TestRateLimiter_CountsTokenOrAddress checks that a token counts once it was valid, and the
// address before.
func TestRateLimiter_CountsTokenOrAddress(t *testing.T) {
	t.Parallel()
	now, wasValid := time.Unix(0, 0), false
	limiter := NewRateLimiter(Limit{PerSecond: 0.5, Burst: 2}, func(key string) bool { return wasValid && key == "valid" })
	limiter.now = func() time.Time { return now }
	server := httptest.NewServer(limiter.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		wasValid = wasValid || r.Header.Get("Authorization") == "Bearer valid"
	}), func(w http.ResponseWriter, _ *http.Request, status int, retryAfter time.Duration) {
		w.Header().Set("Retry-After", admission.RetryAfter(retryAfter))
		w.WriteHeader(status)
	}))
	t.Cleanup(server.Close)
	get := func(key string) limitResult {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		if key != "" {
			request.Header.Set("Authorization", "Bearer "+key)
		}
		response, err := server.Client().Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = response.Body.Close()
		h := response.Header
		return limitResult{response.StatusCode, h.Get("RateLimit-Remaining"), h.Get("RateLimit-Reset"), h.Get("Retry-After")}
	}
	for i, step := range []struct {
		after time.Duration
		key   string
		want  limitResult
	}{
		{0, "", limitResult{200, "1", "2", ""}},
		{0, "valid", limitResult{200, "0", "4", ""}}, // not yet known as valid: counts for the address
		{0, "", limitResult{429, "0", "4", "2"}},
		{0, "valid", limitResult{200, "1", "2", ""}}, // counts for the token
		{0, "invalid", limitResult{429, "0", "4", "2"}},
		{time.Second, "", limitResult{429, "0", "3", "1"}},
		{time.Second, "", limitResult{200, "0", "4", ""}},
		{0, "valid", limitResult{200, "1", "2", ""}},
		{0, "valid", limitResult{200, "0", "4", ""}},
		{0, "valid", limitResult{429, "0", "4", "2"}},
	} {
		now = now.Add(step.after)
		if diff := cmp.Diff(step.want, get(step.key)); diff != "" {
			t.Errorf("step %d: - wanted, + got:\n%s", i, diff)
		}
	}
}

// TestRateLimiter_CountsOperationsAsRequests checks that operations count for the same limit as requests.
func TestRateLimiter_CountsOperationsAsRequests(t *testing.T) {
	t.Parallel()
	now := time.Unix(0, 0)
	limiter := NewRateLimiter(Limit{PerSecond: 1, Burst: 2}, func(string) bool { return true })
	limiter.now = func() time.Time { return now }
	handler := limiter.Handler(http.NotFoundHandler(), func(w http.ResponseWriter, _ *http.Request, status int, _ time.Duration) { w.WriteHeader(status) })
	request, response := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
	request.Header.Set("Authorization", "Token a")
	handler.ServeHTTP(response, request)
	if !limiter.Allow(t.Context(), "Token a") || limiter.Allow(t.Context(), "Bearer a") || !limiter.Allow(t.Context(), "Token b") || limiter.rejected.Load() != 1 {
		t.Errorf("got %d rejected, want 1", limiter.rejected.Load())
	}
	if unlimited := NewRateLimiter(Limit{}, nil); !unlimited.Allow(t.Context(), "") {
		t.Error("got a rejection without a limit")
	}
}
