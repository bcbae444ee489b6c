package admission

import (
	"math"
	"strconv"
	"time"
)

// RetryAfter formats a wait as a Retry-After header: whole seconds, at least
// one, rounded up. It subtracts a microsecond first, to cancel floating-point
// error.
func RetryAfter(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil((wait - time.Microsecond).Seconds()))))
}
