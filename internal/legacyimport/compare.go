package legacyimport

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"portfolio/compat"
	"portfolio/internal/printable"
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

// linkTarget returns the target of a GET request for a link in a line of an access log. Only
// the field of the request counts: others are what clients wrote. It is the first in quotes,
// or the whole line, which may be a path alone.
func linkTarget(line string) (target string, ok bool) {
	var request string
	switch {
	case strings.HasPrefix(line, "{"):
		request = requestOfRecord(line)
	case strings.HasPrefix(line, "/"), strings.HasPrefix(line, "GET "):
		request, _, _ = strings.Cut(line, `"`)
	default:
		_, fields, _ := strings.Cut(line, `"`)
		request, _, _ = strings.Cut(fields, `"`)
	}
	target, _, _ = strings.Cut(strings.TrimPrefix(request, "GET "), " ")
	return target, compat.IsLink(target)
}

// requestOfRecord returns the request of a record in JSON, or "" if it is no GET request.
func requestOfRecord(line string) string {
	var record struct{ Method, Request, Path string }
	if json.Unmarshal([]byte(line), &record) != nil || record.Method != "" && record.Method != http.MethodGet {
		return ""
	}
	return cmp.Or(record.Request, record.Path)
}

// Compare sends each GET request for a link of an access log to both servers, and writes how
// the responses differ, hosts aside. It sends no other request, since each has the token. It
// ends early, without an error, when ctx is canceled.
func Compare(ctx context.Context, servers Servers, log io.Reader, to io.Writer) (compared, different int, err error) {
	header := http.Header{}
	if servers.Token != "" {
		header.Set("Authorization", "Token "+servers.Token)
	}
	c := &comparison{
		legacy: newClient(servers.Legacy.base, newLimiter(servers.Rate), servers.Timeout),
		here:   newClient(servers.Here.base, newLimiter(servers.Rate), servers.Timeout), servers: servers, header: header, to: to,
	}
	defer c.legacy.close()
	defer c.here.close()
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	lines := bufio.NewScanner(log)
	lines.Buffer(nil, maxLine)
	for lines.Scan() && groupCtx.Err() == nil {
		if target, ok := linkTarget(lines.Text()); ok {
			group.Go(func() error { return c.compare(groupCtx, target) })
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
	_, _ = fmt.Fprintln(c.to, printable.Quote(path))
	for _, d := range found {
		_, _ = fmt.Fprintf(c.to, "  %s: legacy %s, here %s\n", printable.Quote(d.Field), printable.Quote(d.Legacy), printable.Quote(d.Here))
	}
	return nil
}

func described(err error) string {
	if err == nil {
		return "fine"
	}
	return err.Error()
}
