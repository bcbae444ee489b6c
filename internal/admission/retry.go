package admission

import (
	"math"
	"strconv"
	"time"
)

// RetryAfter formats a wait as a Retry-After header: whole seconds, at least
// one, rounded up. It ignores what rounding of floats has added, so that a client
// that waits so long is accepted.
func RetryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil((wait - time.Microsecond).Seconds()))))
}
