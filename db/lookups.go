package db

import (
	"context"
	"math/bits"
	"strconv"
	"strings"
	"sync"
	"time"
)

// A link that is asked for while another is being read waits for that
// statement to end; then one statement reads all that wait. Where many ask at
// once PostgreSQL runs a fraction of the statements, and who asks alone does
// not wait. Nobody joins a statement that has begun: each sees what was
// committed before it asked, as it would by itself.

const (
	maxTogether   = 64                   // links in a statement
	patience      = 2 * time.Millisecond // with a statement that takes long
	sharedTimeout = 10 * time.Second     // of a statement that is nobody's own
)

// lookups are the links that are being asked for.
type lookups struct {
	// byIDs are for 1, 2, 4 and so on up to maxTogether ids, the last of which
	// may be repeated: PostgreSQL keeps their plans, but plans for an array
	// anew each time.
	byIDs    [7]statement
	patience time.Duration

	mu       sync.Mutex
	underWay int // statements
	waiting  []*lookup
	late     *time.Timer // starts a statement for those that wait
}

// lookup is one that waits. It stays unanswered where its statement failed.
type lookup struct {
	id       int64
	done     chan struct{}
	answered bool
	link     *PortfolioLink // nil where there is none
}

func (db *DB) renderLookups() {
	db.lookups.patience = patience
	for i := range db.lookups.byIDs {
		places := make([]string, 1<<i)
		for n := range places {
			places[n] = "$" + strconv.Itoa(n+1)
		}
		db.lookups.byIDs[i].render(db.links("portfolio_links AS link").Where("link.id IN (" + strings.Join(places, ", ") + ")"))
	}
}

// link reads a link, or ErrNotFound.
func (db *DB) link(ctx context.Context, id int64) (*PortfolioLink, error) {
	if !db.Postgres() { // nothing to gain: SQLite answers without a round trip
		return db.linkAlone(ctx, id)
	}
	waiting := db.wait(id) //nolint:contextcheck // a statement for several ends with none of their requests
	if waiting == nil {
		defer db.ended()
		return db.linkAlone(ctx, id)
	}
	select {
	case <-waiting.done:
	case <-ctx.Done():
		return nil, wrap(ctx.Err())
	}
	if !waiting.answered { // which may be the fault of another's link
		return db.linkAlone(ctx, id)
	}
	countStatement(ctx)
	if waiting.link == nil {
		return nil, ErrNotFound
	}
	return waiting.link, nil
}

func (db *DB) linkAlone(ctx context.Context, id int64) (*PortfolioLink, error) {
	return queryOne(ctx, db, &db.lookups.byIDs[0], scanLink, id)
}

// wait is nil where no statement is under way: then the caller runs its own.
func (db *DB) wait(id int64) *lookup {
	l := &db.lookups
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.underWay == 0 {
		l.underWay++
		return nil
	}
	waiting := &lookup{id: id, done: make(chan struct{})}
	l.waiting = append(l.waiting, waiting)
	switch len(l.waiting) {
	case 1:
		l.late = time.AfterFunc(l.patience, func() {
			l.mu.Lock()
			defer l.mu.Unlock()
			db.readWaiting()
		})
	case maxTogether:
		db.readWaiting()
	}
	return waiting
}

// ended tells that a statement has ended.
func (db *DB) ended() {
	l := &db.lookups
	l.mu.Lock()
	defer l.mu.Unlock()
	l.underWay--
	db.readWaiting()
}

// readWaiting begins a statement for those that wait. The caller holds the
// lock.
func (db *DB) readWaiting() {
	l := &db.lookups
	if len(l.waiting) == 0 {
		return
	}
	l.late.Stop()
	l.underWay++
	go db.readTogether(l.waiting)
	l.waiting = nil
}

func (db *DB) readTogether(batch []*lookup) {
	defer func() {
		_ = recover() // each runs its own statement then, where a panic is answered
		for _, lookup := range batch {
			close(lookup.done)
		}
	}()
	defer db.ended()
	ctx, cancel := context.WithTimeout(context.Background(), sharedTimeout)
	defer cancel()
	size := bits.Len(uint(len(batch) - 1))
	ids := make([]any, 1<<size)
	for i := range ids {
		ids[i] = batch[min(i, len(batch)-1)].id
	}
	err := db.query(ctx, &db.lookups.byIDs[size], ids, func(row row) error {
		link, err := scanLink(row)
		for _, lookup := range batch {
			if lookup.id == link.ID {
				lookup.link = link
			}
		}
		return err
	})
	for _, lookup := range batch {
		lookup.answered = err == nil
	}
}
