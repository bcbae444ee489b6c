package admission

import (
	"math"
	"strconv"
	"time"
)

// Seconds is a wait as Retry-After has it: whole seconds, at least one, rounded
// up but for what a float leaves over, so that who waits so long is let in.
func Seconds(wait time.Duration) string {
	return strconv.Itoa(max(1, int(math.Ceil((wait - time.Microsecond).Seconds()))))
}
