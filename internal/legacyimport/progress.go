package legacyimport

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
)

const lineInterval = 5 * time.Second // of the progress without a terminal

// progress shows how far a run is: as a bar on a terminal, and otherwise as lines.
type progress struct {
	total       int
	done        atomic.Int64
	began, last time.Time
	to          io.Writer

	container *mpb.Progress // nil without a terminal
	bar       *mpb.Bar
}

func newProgress(ctx context.Context, total int, to io.Writer, terminal bool) *progress {
	p := &progress{total: total, began: time.Now(), last: time.Now(), to: to}
	if terminal {
		p.container = mpb.NewWithContext(ctx, mpb.WithOutput(to))
		p.bar = p.container.AddBar(int64(total),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.rate() })))
	}
	return p
}

// add counts steps that are done.
func (p *progress) add(steps int) {
	done := p.done.Add(int64(steps))
	if p.bar != nil {
		p.bar.SetCurrent(done)
		return
	}
	if now := time.Now(); now.Sub(p.last) >= lineInterval {
		p.last = now
		_, _ = fmt.Fprintf(p.to, "%d of %d, %s\n", done, p.total, p.rate())
	}
}

// rate returns the rate and the remaining time.
func (p *progress) rate() string {
	done, elapsed := p.done.Load(), time.Since(p.began)
	if done == 0 || elapsed <= 0 {
		return ""
	}
	rate := float64(done) / elapsed.Seconds()
	remaining := time.Duration(float64(max(0, int64(p.total)-done)) / rate * float64(time.Second))
	return fmt.Sprintf("%.0f/s, %s left", rate, remaining.Round(time.Second))
}

func (p *progress) close() {
	if p.bar != nil {
		p.bar.Abort(false)
		p.container.Wait()
	}
}
