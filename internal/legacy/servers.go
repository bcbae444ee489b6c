package legacy

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"
)

// Servers are two servers that run side by side.
type Servers struct {
	Legacy, Here ServerURL
	Token        string
	Media        Media // of the legacy system; zero: its path /media/
	Rate         float64
	Timeout      time.Duration
}

const maxLine = 64 << 10 // bytes of an access log

// requested finds a path of the endpoint in a line of an access log, or in a line that
// is a path.
var requested = regexp.MustCompile(`(?:^|GET )(/api/portfolios/[^ "?#]+(?:\?[^ "#]*)?)`)

// Compare sends each GET request of an access log to both servers, and writes how the
// responses differ, hosts aside. It ends early, without an error, when ctx is canceled.
func Compare(ctx context.Context, servers Servers, log io.Reader, to io.Writer) (compared, different int, err error) {
	limit := rate.Inf
	if servers.Rate > 0 {
		limit = rate.Limit(servers.Rate)
	}
	header := http.Header{}
	if servers.Token != "" {
		header.Set("Authorization", "Token "+servers.Token)
	}
	c := &comparison{
		legacy: newClient(servers.Legacy.base, rate.NewLimiter(limit, 1), servers.Timeout),
		here:   newClient(servers.Here.base, rate.NewLimiter(limit, 1), servers.Timeout), servers: servers, header: header, to: to,
	}
	defer c.legacy.close()
	defer c.here.close()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLine)
	for lines.Scan() && groupCtx.Err() == nil {
		if found := requested.FindStringSubmatch(lines.Text()); found != nil {
			group.Go(func() error { return c.compare(groupCtx, found[1]) })
		}
	}
	err = errors.Join(group.Wait(), lines.Err())
	return c.compared, c.different, err
}

type comparison struct {
	legacy, here *client
	servers      Servers
	header       http.Header

	mu                  sync.Mutex
	to                  io.Writer
	compared, different int
}

func (c *comparison) compare(ctx context.Context, path string) error {
	var found []Difference
	old, err := c.legacy.document(ctx, c.servers.Legacy.String()+path, c.header)
	here, hereErr := c.here.document(ctx, c.servers.Here.String()+path, c.header)
	failed := errors.Join(err, hereErr)
	switch {
	case ctx.Err() != nil:
		return nil
	case failed != nil:
		if stop, ok := errors.AsType[*stopError](failed); ok {
			return stop
		}
		found = []Difference{{"response", described(err), described(hereErr)}}
	default:
		found = compareResponses(old, here, c.servers.Media.base())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared++
	if len(found) == 0 {
		return nil
	}
	c.different++
	_, _ = fmt.Fprintln(c.to, printable(path))
	for _, d := range found {
		_, _ = fmt.Fprintf(c.to, "  %s: legacy %s, here %s\n", printable(d.Field), printable(d.Legacy), printable(d.Here))
	}
	return nil
}

func described(err error) string {
	if err == nil {
		return "fine"
	}
	return err.Error()
}
