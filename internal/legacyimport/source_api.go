package legacyimport

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"portfolio/db"
)

// Ranges is a list of ranges of IDs, such as 1-5000,7000.
type Ranges [][2]int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ranges) UnmarshalText(text []byte) error {
	*r = nil
	for part := range strings.SplitSeq(string(text), ",") {
		low, high, isRange := strings.Cut(part, "-")
		if !isRange {
			high = low
		}
		first, firstErr := strconv.ParseInt(low, 10, 64)
		last, lastErr := strconv.ParseInt(high, 10, 64)
		if firstErr != nil || lastErr != nil || first < 1 || last < first {
			return fmt.Errorf("must be ranges of IDs, such as 1-5000,7000, not %q", text)
		}
		*r = append(*r, [2]int64{first, last})
	}
	if r.count() > maxIDs {
		return fmt.Errorf("must have at most %d IDs", maxIDs)
	}
	slices.SortFunc(*r, func(a, b [2]int64) int { return cmp.Compare(a[0], b[0]) })
	for i := 1; i < len(*r); i++ {
		if (*r)[i][0] <= (*r)[i-1][1] {
			return fmt.Errorf("the ranges must not overlap: %q", text)
		}
	}
	return nil
}

const (
	maxIDs      = 100_000_000
	chunkLinks  = 100 // links of a batch
	maxFailures = 20  // consecutive failures that end the run
)

func (r Ranges) count() int64 {
	count := int64(0)
	for _, part := range r {
		if count += part[1] - part[0] + 1; count < 0 || count > maxIDs {
			return maxIDs + 1
		}
	}
	return count
}

// ids iterates over the IDs.
func (r Ranges) ids() iter.Seq[int64] {
	return func(yield func(int64) bool) {
		for _, part := range r {
			for id := part[0]; ; id++ {
				if !yield(id) {
					return
				}
				if id == part[1] { // id may be the largest int64
					break
				}
			}
		}
	}
}

// chunks iterates over the IDs in chunks of chunkLinks.
func (r Ranges) chunks() iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		var chunk []int64
		for id := range r.ids() {
			if chunk = append(chunk, id); len(chunk) == chunkLinks {
				if !yield(chunk) {
					return
				}
				chunk = nil
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// endpoint is a legacy system that is read through its endpoint.
type endpoint struct {
	client     *client
	base       ServerURL
	header     http.Header
	media      mediaBase
	portfolios []int64
	links      Ranges
	database   *db.DB // with the records of imported links

	failures atomic.Int64 // consecutive failures
	recent   atomic.Int64 // the portfolio of a recent link
}

func (e *endpoint) close(context.Context) { e.client.close() }

func (e *endpoint) total(context.Context) (int, error) { return int(e.links.count()), nil }

// missing returns nothing: batches report deleted links.
func (*endpoint) missing(context.Context, db.RowKind, []string) ([]string, error) { return nil, nil }

// batches requests the links that were never imported first, and then the others.
func (e *endpoint) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		var imported []int64
		for ids := range e.links.chunks() {
			hashes, err := e.database.ImportedHashes(ctx, db.LinkRow, keysOf(ids))
			if err != nil {
				yield(nil, err)
				return
			}
			ids = slices.DeleteFunc(ids, func(id int64) bool {
				isImported := hashes[formatID(id)] != nil
				if isImported {
					imported = append(imported, id)
				}
				return isImported
			})
			if len(ids) == 0 {
				continue
			}
			b, err := e.readLinks(ctx, ids)
			if !yield(b, err) || err != nil {
				return
			}
		}
		e.retry(ctx, imported)(yield)
	}
}

func (e *endpoint) retry(ctx context.Context, links []int64) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		for ids := range slices.Chunk(links, chunkLinks) {
			b, err := e.readLinks(ctx, ids)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// readLinks requests the links with these IDs.
func (e *endpoint) readLinks(ctx context.Context, ids []int64) (*batch, error) {
	links, problems := make([]*link, len(ids)), make([]error, len(ids))
	err := e.each(ctx, len(ids), func(ctx context.Context, i int) (err error) {
		links[i], problems[i] = e.findLink(ctx, ids[i])
		return e.checkFailure(ctx, problems[i])
	})
	if err != nil {
		return nil, err
	}
	b := &batch{steps: len(ids), onlyIDs: true}
	portfolios, images := map[int64]*db.Portfolio{}, map[int64]*db.Image{}
	for i, link := range links {
		switch {
		case problems[i] != nil:
			b.problems = append(b.problems, cannotImport(db.LinkRow, formatID(ids[i]), problems[i].Error()))
			continue
		case link == nil:
			b.deleted = append(b.deleted, ids[i])
			continue
		}
		b.links = append(b.links, link)
		if id := link.row.PortfolioID; portfolios[id] == nil {
			portfolios[id] = &db.Portfolio{ID: id, Name: "Portfolio " + formatID(id), CreatedAt: link.row.CreatedAt, UpdatedAt: link.row.CreatedAt}
		}
		if image := link.row.ImageData; image != nil {
			images[image.ID] = image
		}
	}
	b.portfolios, b.images = sorted(portfolios), sorted(images)
	return b, nil
}

// sorted returns the rows by ascending ID.
func sorted[Row any](rows map[int64]Row) []Row {
	list := make([]Row, 0, len(rows))
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		list = append(list, rows[id])
	}
	return list
}

// each calls do concurrently for 0 to count-1. It returns the first error.
func (e *endpoint) each(ctx context.Context, count int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// checkFailure counts consecutive failures. It returns an error if the run must end because of a
// problem. The problem may be nil.
func (e *endpoint) checkFailure(ctx context.Context, problem error) error {
	if problem == nil {
		e.failures.Store(0)
		return nil
	}
	if stop, ok := errors.AsType[*stopError](problem); ok {
		return stop
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if _, isDocument := errors.AsType[*documentError](problem); isDocument {
		return nil // other links may be valid
	}
	if e.failures.Add(1) >= maxFailures {
		return &stopError{fmt.Sprintf("%d responses in a row cannot be used, the last error: %v", maxFailures, problem)}
	}
	return nil
}

// findLink requests a link in each portfolio. It returns nil if no portfolio has the link.
func (e *endpoint) findLink(ctx context.Context, id int64) (*link, error) {
	portfolios := e.portfolios
	if recent := e.recent.Load(); recent != 0 { // most likely the portfolio of the next link too
		portfolios = slices.DeleteFunc(slices.Clone(portfolios), func(id int64) bool { return id == recent })
		portfolios = slices.Insert(portfolios, 0, recent)
	}
	for _, portfolioID := range portfolios {
		key := linkID{id, portfolioID}
		response, err := e.requestLink(ctx, key)
		if err != nil {
			return nil, err
		}
		if response.status == http.StatusNotFound {
			continue
		}
		row, err := parseLink(response.body, key, e.media)
		if err != nil {
			return nil, err
		}
		e.recent.Store(portfolioID)
		return &link{row: row, response: response}, nil
	}
	return nil, nil //nolint:nilnil // as documented
}

// requestLink requests a link, and returns a response with status 200 or 404. It returns an error
// for any other status.
func (e *endpoint) requestLink(ctx context.Context, id linkID) (*response, error) {
	response, err := e.client.getDocument(ctx, e.base.String()+id.path(), e.header)
	if err != nil {
		return nil, err
	}
	switch {
	case response.status == http.StatusUnauthorized || response.status == http.StatusForbidden:
		return nil, &stopError{fmt.Sprintf("the legacy system refuses the token: %d %s", response.status, excerpt(response.body))}
	case response.status != http.StatusOK && response.status != http.StatusNotFound:
		return nil, &statusError{response.status}
	case contentType(response.header) != "application/json":
		return nil, fmt.Errorf("the response is %d with %q, not JSON: %s", response.status, contentType(response.header), excerpt(response.body))
	}
	return response, nil
}

// addResponses requests the responses for the links of a batch. If a request fails, the
// response is empty.
func (e *endpoint) addResponses(ctx context.Context, b *batch) error {
	return e.each(ctx, len(b.links), func(ctx context.Context, i int) error {
		resp, problem := e.requestLink(ctx, b.links[i].id())
		if problem != nil {
			resp = &response{failure: problem.Error()}
		}
		b.links[i].response = resp
		return e.checkFailure(ctx, problem)
	})
}
