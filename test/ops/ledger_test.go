//go:build ops

package ops

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
)

// ledger records which names each link may have, by the label that its name begins
// with. The empty name means that there is no such link. After a response it is one
// name; while there is none, also the former.
type ledger struct {
	mu           sync.Mutex
	possible     map[string][]string
	acknowledged int
	images       []string // IDs of uploads with a response
}

func newLedger() *ledger { return &ledger{possible: map[string][]string{}} }

// request adds a name that the link may have from now on.
func (l *ledger) request(label, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.possible[label] == nil {
		l.possible[label] = []string{""}
	}
	l.possible[label] = append(l.possible[label], name)
}

// acknowledge records that the link has a name.
func (l *ledger) acknowledge(label, name string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.possible[label] = []string{name}
	l.acknowledged++
}

// writes returns the number of acknowledged writes.
func (l *ledger) writes() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.acknowledged
}

// check compares the rows of a database with the responses that clients got, and returns
// the number of acknowledged writes that are lost.
func (l *ledger) check(t *testing.T, dsn string) (lost int) {
	t.Helper()
	stored := map[string]string{}
	for _, name := range column(t, dsn, fmt.Sprintf("SELECT name FROM portfolio_links WHERE portfolio_id = %d", writtenPortfolio)) {
		label, _, _ := strings.Cut(name, ":")
		if other, twice := stored[label]; twice {
			t.Errorf("the link %s was created twice: %s and %s", label, other, name)
		}
		stored[label] = name
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for label, possible := range l.possible {
		if !slices.Contains(possible, stored[label]) {
			lost++
			t.Errorf("the link %s has the name %q, not one of %q", label, stored[label], possible)
		}
	}
	for label := range maps.Keys(stored) {
		if l.possible[label] == nil {
			t.Errorf("nobody created the link %s", label)
		}
	}
	return lost
}

// uploaded records the ID of an image.
func (l *ledger) uploaded(id string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.images = append(l.images, id)
}

// checkImages checks that every image that was acknowledged is in the database, and
// returns how many those are.
func (l *ledger) checkImages(t *testing.T, dsn string) int {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	stored := column(t, dsn, "SELECT id FROM images")
	for _, id := range l.images {
		if !slices.Contains(stored, id) {
			t.Errorf("the image %s is lost", id)
		}
	}
	return len(l.images)
}

// column returns the first column of the rows of a query.
func column(t *testing.T, dsn, query string) (values []string) {
	t.Helper()
	rows, err := openSQL(t, dsn).QueryContext(t.Context(), query)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		var value string
		if err := rows.Scan(&value); err != nil {
			t.Fatal(err)
		}
		values = append(values, value)
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	return values
}
