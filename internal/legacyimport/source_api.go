package legacyimport

import (
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

// Ranges is a list of ranges of ids, such as 1-5000,7000.
type Ranges [][2]int64

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *Ranges) UnmarshalText(text []byte) error {
	*r = nil
	for part := range strings.SplitSeq(string(text), ",") {
		from, to, isRange := strings.Cut(part, "-")
		if !isRange {
			to = from
		}
		first, firstErr := strconv.ParseInt(from, 10, 64)
		last, lastErr := strconv.ParseInt(to, 10, 64)
		if firstErr != nil || lastErr != nil || first < 1 || last < first {
			return fmt.Errorf("must be ranges of IDs, such as 1-5000,7000, not %q", text)
		}
		*r = append(*r, [2]int64{first, last})
	}
	if r.count() > maxIDs {
		return fmt.Errorf("must have at most %d IDs", maxIDs)
	}
	slices.SortFunc(*r, func(a, b [2]int64) int { return int(min(max(a[0]-b[0], -1), 1)) })
	for i := 1; i < len(*r); i++ {
		if (*r)[i][0] <= (*r)[i-1][1] {
			return fmt.Errorf("the ranges must not overlap: %q", text)
		}
	}
	return nil
}

const (
	maxIDs      = 100_000_000
	chunkLinks  = 100 // links that are asked for together
	maxFailures = 20  // responses in a row that cannot be used
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

// chunks iterates over the ids, several at a time.
func (r Ranges) chunks() iter.Seq[[]int64] {
	return func(yield func([]int64) bool) {
		chunk := make([]int64, 0, chunkLinks)
		for _, part := range r {
			for id := part[0]; ; id++ {
				if chunk = append(chunk, id); len(chunk) == chunkLinks {
					if !yield(chunk) {
						return
					}
					chunk = make([]int64, 0, chunkLinks)
				}
				if id == part[1] {
					break
				}
			}
		}
		if len(chunk) > 0 {
			yield(chunk)
		}
	}
}

// endpoint is a legacy system that is read from its endpoint.
type endpoint struct {
	client     *client
	base       ServerURL
	header     http.Header
	media      mediaBase
	portfolios []int64
	links      Ranges
	moved      func(ctx context.Context, links []int64) (map[int64]bool, error)

	failures atomic.Int64 // in a row
	recent   atomic.Int64 // the portfolio of the link that was found last
}

func (e *endpoint) close(context.Context) { e.client.close() }

func (e *endpoint) total(context.Context) (int, error) { return int(e.links.count()), nil }

// missing returns nothing: batches report links that are gone.
func (*endpoint) missing(context.Context, db.RowKind, []string) ([]string, error) { return nil, nil }

// batches asks first for the links that were not moved before.
func (e *endpoint) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		var before []int64 // those that were
		for ids := range e.links.chunks() {
			moved, err := e.moved(ctx, ids)
			if err != nil {
				yield(nil, err)
				return
			}
			ids = slices.DeleteFunc(ids, func(id int64) bool {
				if moved[id] {
					before = append(before, id)
				}
				return moved[id]
			})
			if len(ids) == 0 {
				continue
			}
			b, err := e.ask(ctx, ids, false)
			if !yield(b, err) || err != nil {
				return
			}
		}
		for ids := range slices.Chunk(before, chunkLinks) {
			b, err := e.ask(ctx, ids, true)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

func (e *endpoint) again(ctx context.Context, links []linkID) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		for chunk := range slices.Chunk(links, chunkLinks) {
			ids := make([]int64, len(chunk))
			for i, link := range chunk {
				ids[i] = link.id
			}
			b, err := e.ask(ctx, ids, true)
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// ask returns the links with these ids. One that is not found is gone if it was moved
// before.
func (e *endpoint) ask(ctx context.Context, ids []int64, before bool) (*batch, error) {
	links, problems := make([]*link, len(ids)), make([]error, len(ids))
	err := e.each(ctx, len(ids), func(ctx context.Context, i int) (err error) {
		links[i], problems[i] = e.find(ctx, ids[i])
		return e.failure(ctx, problems[i])
	})
	if err != nil {
		return nil, err
	}
	b := &batch{steps: len(ids), onlyIDs: true}
	portfolios, images := map[int64]*db.Portfolio{}, map[int64]*db.Image{}
	for i, found := range links {
		switch {
		case problems[i] != nil:
			b.problems = append(b.problems, Problem{Kind: db.LinkRow, Key: formatID(ids[i]), State: Differing, Reason: "cannot be moved: " + problems[i].Error()})
		case found.row != nil:
			if portfolios[found.portfolioID] == nil {
				created := found.row.CreatedAt
				portfolios[found.portfolioID] = &db.Portfolio{ID: found.portfolioID, Name: "Portfolio " + formatID(found.portfolioID), CreatedAt: created, UpdatedAt: created}
			}
			if image := found.row.ImageData; image != nil {
				images[image.ID] = image
			}
			fallthrough
		case before:
			b.links = append(b.links, found)
		}
	}
	b.portfolios, b.images = byID(portfolios), byID(images)
	return b, nil
}

func byID[T any](rows map[int64]T) []T {
	sorted := make([]T, 0, len(rows))
	for _, id := range slices.Sorted(maps.Keys(rows)) {
		sorted = append(sorted, rows[id])
	}
	return sorted
}

// each calls do for 0 to count-1, several concurrently.
func (e *endpoint) each(ctx context.Context, count int, do func(context.Context, int) error) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i := range count {
		group.Go(func() error { return do(ctx, i) })
	}
	return group.Wait()
}

// failure returns an error if no response can be used.
func (e *endpoint) failure(ctx context.Context, problem error) error {
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
		return nil // it is about this link
	}
	if e.failures.Add(1) >= maxFailures {
		return &stopError{fmt.Sprintf("%d responses in a row cannot be used, the last one: %v", maxFailures, problem)}
	}
	return nil
}

// find asks for a link in each portfolio. The row is nil if it is in none of them.
func (e *endpoint) find(ctx context.Context, id int64) (*link, error) {
	portfolios := e.portfolios
	if recent := e.recent.Load(); recent != 0 { // most likely the one of the next link too
		others := slices.DeleteFunc(slices.Clone(portfolios), func(id int64) bool { return id == recent })
		portfolios = slices.Insert(others, 0, recent)
	}
	for _, portfolioID := range portfolios {
		key := linkID{id, portfolioID}
		found, err := e.request(ctx, key)
		if err != nil {
			return nil, err
		}
		if found.status == http.StatusNotFound {
			continue
		}
		row, err := parseLink(found.body, key, e.media)
		if err != nil {
			return nil, err
		}
		e.recent.Store(portfolioID)
		return &link{id: id, portfolioID: portfolioID, row: row, response: found}, nil
	}
	return &link{id: id, portfolioID: portfolios[0]}, nil
}

// request returns the response for a link, which is 200, or 404 if there is none.
func (e *endpoint) request(ctx context.Context, id linkID) (*response, error) {
	found, err := e.client.document(ctx, e.base.String()+id.path(), e.header)
	if err != nil {
		return nil, err
	}
	switch {
	case found.status == http.StatusUnauthorized || found.status == http.StatusForbidden:
		return nil, &stopError{fmt.Sprintf("the legacy system refuses the token: %d %s", found.status, excerpt(found.body))}
	case found.status != http.StatusOK && found.status != http.StatusNotFound:
		return nil, &statusError{found.status}
	case contentType(found.header) != "application/json":
		return nil, fmt.Errorf("the response is %d with %q, not JSON: %s", found.status, contentType(found.header), excerpt(found.body))
	}
	return found, nil
}

// answering is a source whose links have the responses of an endpoint.
type answering struct {
	source
	endpoint *endpoint
}

func (a answering) close(ctx context.Context) {
	a.source.close(ctx)
	a.endpoint.close(ctx)
}

func (a answering) batches(ctx context.Context) iter.Seq2[*batch, error] {
	return a.answer(ctx, a.source.batches(ctx))
}

func (a answering) again(ctx context.Context, links []linkID) iter.Seq2[*batch, error] {
	return a.answer(ctx, a.source.again(ctx, links))
}

func (a answering) answer(ctx context.Context, batches iter.Seq2[*batch, error]) iter.Seq2[*batch, error] {
	return func(yield func(*batch, error) bool) {
		for b, err := range batches {
			if err == nil {
				err = a.ask(ctx, b)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// ask sets the responses of links. A link without a usable one has an empty response.
func (a answering) ask(ctx context.Context, b *batch) error {
	problems := make([]error, len(b.links))
	err := a.endpoint.each(ctx, len(b.links), func(ctx context.Context, i int) (err error) {
		if b.links[i].row == nil {
			return nil
		}
		b.links[i].response, problems[i] = a.endpoint.request(ctx, b.links[i].key())
		return a.endpoint.failure(ctx, problems[i])
	})
	for i, problem := range problems {
		if problem != nil && err == nil {
			b.links[i].response = &response{failure: problem.Error()}
		}
	}
	return err
}
