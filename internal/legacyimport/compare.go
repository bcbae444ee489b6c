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
	Legacy, Local ServerURL
	Token         string
	Media         Media   // of the legacy system; zero: its path /media/
	Rate          float64 // requests per second to each server; 0 is no limit
	Timeout       time.Duration
}

const maxLine = 64 << 10 // bytes of an access log

// linkTarget returns the target of a GET request for a link in a line of an access log. It
// reads only the request field, because clients control the other fields. The request field is
// a member of a JSON record, the first field in quotes, or the whole line.
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

// requestOfRecord returns the request of a JSON record, or "" if its method is not GET.
func requestOfRecord(line string) string {
	var record struct{ Method, Request, Path string }
	if json.Unmarshal([]byte(line), &record) != nil || record.Method != "" && record.Method != http.MethodGet {
		return ""
	}
	return cmp.Or(record.Request, record.Path)
}

// Compare sends each GET request for a link in an access log to both servers. It writes the
// differences of the responses to output, and ignores hosts. It sends no other requests,
// because each request contains the token. It returns the number of requests, and the number
// of requests whose responses differ. If ctx is canceled, it ends early without an error.
func Compare(ctx context.Context, servers Servers, log io.Reader, output io.Writer) (compared, different int, err error) {
	header := http.Header{}
	if servers.Token != "" {
		header.Set("Authorization", "Token "+servers.Token)
	}
	c := &comparison{
		legacy: newClient(servers.Legacy.base, newLimiter(servers.Rate), servers.Timeout),
		local:  newClient(servers.Local.base, newLimiter(servers.Rate), servers.Timeout), servers: servers, header: header, output: output,
	}
	defer c.legacy.close()
	defer c.local.close()
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
	legacy, local *client
	servers       Servers
	header        http.Header

	mu                  sync.Mutex
	output              io.Writer
	compared, different int
}

// compare sends a request to both servers, and writes the differences of the responses. The error is
// a *stopError.
func (c *comparison) compare(ctx context.Context, path string) error {
	var differences []Difference
	legacy, legacyErr := c.legacy.getDocument(ctx, c.servers.Legacy.String()+path, c.header)
	local, localErr := c.local.getDocument(ctx, c.servers.Local.String()+path, c.header)
	switch err := errors.Join(legacyErr, localErr); {
	case ctx.Err() != nil:
		return nil
	case err != nil:
		if stop, ok := errors.AsType[*stopError](err); ok {
			return stop
		}
		differences = []Difference{{"response", textOf(legacyErr), textOf(localErr)}}
	default:
		differences = compareResponses(legacy, local, c.servers.Media.base())
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.compared++
	if len(differences) == 0 {
		return nil
	}
	c.different++
	_, _ = fmt.Fprintln(c.output, printable.Quote(path))
	writeDifferences(c.output, differences)
	return nil
}

// textOf returns the text of an error, or "fine" without an error.
func textOf(err error) string {
	if err == nil {
		return "fine"
	}
	return err.Error()
}
