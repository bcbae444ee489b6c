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

// progress shows the progress of a run, as a bar on a terminal and as lines elsewhere.
type progress struct {
	total    int
	done     atomic.Int64
	started  time.Time
	lastLine time.Time
	output   io.Writer

	container *mpb.Progress // nil without a terminal
	bar       *mpb.Bar
}

func newProgress(ctx context.Context, total int, output io.Writer, terminal bool) *progress {
	p := &progress{total: total, started: time.Now(), lastLine: time.Now(), output: output}
	if terminal {
		p.container = mpb.NewWithContext(ctx, mpb.WithOutput(output))
		p.bar = p.container.AddBar(int64(total),
			mpb.PrependDecorators(decor.CountersNoUnit("%d of %d ")),
			mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return p.rate() })))
	}
	return p
}

// add counts completed steps.
func (p *progress) add(steps int) {
	done := p.done.Add(int64(steps))
	if p.bar != nil {
		p.bar.SetCurrent(done)
		return
	}
	if now := time.Now(); now.Sub(p.lastLine) >= lineInterval {
		p.lastLine = now
		_, _ = fmt.Fprintf(p.output, "%d of %d, %s\n", done, p.total, p.rate())
	}
}

// rate returns the rate and the remaining time.
func (p *progress) rate() string {
	done, elapsed := p.done.Load(), time.Since(p.started)
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
