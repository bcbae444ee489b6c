package legacyimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"time"

	"golang.org/x/time/rate"

	"portfolio/db"
	"portfolio/internal/storage"
)

// Options say what to move, and how.
type Options struct {
	Database DatabaseURL // the rows are read from it, if it is set, and otherwise from URL
	Mapping  Mapping

	URL        ServerURL // the endpoint
	Token      string    // of the endpoint
	Portfolios []int64   // if the rows are read from the endpoint
	Links      Ranges    // too

	Media   Media         // zero: the path /media/ of URL
	Rate    float64       // requests per second; 0 is no limit
	Timeout time.Duration // of a response
	MaxFile int64         // bytes

	DryRun bool // change nothing
	Force  bool // replace rows that were changed here
	Delete bool // delete rows that are gone in the legacy system
}

// Check returns an error unless the options say what to move.
func (o Options) Check() error {
	switch {
	case o.Database.IsZero() && o.URL.IsZero():
		return errors.New("where is the legacy system? Give --database or --url")
	case !o.URL.IsZero() && o.Token == "":
		return errors.New("--url needs --token")
	case o.URL.IsZero() && o.Token != "":
		return errors.New("--token needs --url")
	case o.Database.IsZero() && len(o.Portfolios) == 0:
		return errors.New("--url needs --portfolio, unless there is --database")
	case o.Database.IsZero() && o.Links == nil:
		return errors.New("--url needs --links, unless there is --database")
	case !o.Database.IsZero() && (o.Links != nil || o.Portfolios != nil):
		return errors.New("--portfolio and --links are not for --database, which has all links")
	}
	return o.checkValues()
}

func (o Options) checkValues() error {
	switch {
	case !(o.Rate >= 0): // also if it is not a number
		return errors.New("--rate: must not be negative")
	case o.Timeout <= 0:
		return errors.New("--timeout: must be positive")
	case o.MaxFile <= 0:
		return errors.New("--max-file: must be positive")
	case slices.ContainsFunc(o.Portfolios, func(id int64) bool { return id < 1 }):
		return errors.New("--portfolio: must be positive")
	}
	if _, err := os.Stat(o.Media.directory); o.Media.directory != "" && err != nil {
		return fmt.Errorf("--media: %w", err)
	}
	return nil
}

// Target is where rows and files are moved to.
type Target struct {
	Database *db.DB
	Store    storage.Store
	Log      *slog.Logger
	Changed  func() // called before the first change
}

// run is a run of the command.
type run struct {
	target   Target
	options  Options
	source   source
	files    files
	verifier *verifier
	report   *Report
	progress *progress

	seen map[db.RowKind]map[string]bool // portfolios and images, which several batches have

	missing map[string]bool // files that are reported
	again   []linkID        // links that differ, to be read again
	changed bool
}

// maxAgain bounds the links that are read again.
const maxAgain = 10_000

// Run moves a legacy system. The report, which is not nil, tells what was done also if
// there is an error. Progress is written to stderr.
func Run(ctx context.Context, target Target, options Options, stderr io.Writer, terminal bool) (*Report, error) {
	r := &run{target: target, options: options, seen: map[db.RowKind]map[string]bool{db.PortfolioRow: {}, db.ImageRow: {}}, missing: map[string]bool{}}
	r.report = &Report{Source: "database", Compared: "rows of the database", DryRun: options.DryRun, Started: time.Now().UTC()}
	err := r.open(ctx)
	if err == nil {
		err = r.run(ctx, stderr, terminal)
		r.source.close(ctx)
		if r.files.from != nil {
			r.files.from.close()
		}
	}
	r.report.finish(err == nil)
	return r.report, err
}

// open connects to the legacy system.
func (r *run) open(ctx context.Context) error {
	o := r.options
	limit := rate.Inf
	if o.Rate > 0 {
		limit = rate.Limit(o.Rate)
	}
	limiter := rate.NewLimiter(limit, 1)
	if o.Media.IsZero() && !o.URL.IsZero() {
		o.Media = Media{url: o.URL.below("/media")}
	}
	from, err := o.Media.fetcher(o, limiter)
	if err != nil {
		return fmt.Errorf("--media: %w", err)
	}
	r.files = files{store: r.target.Store, from: from, dryRun: o.DryRun}
	r.verifier = newVerifier(r.target.Database, o.Media.base(), o.DryRun, r.target.Log)
	var asked *endpoint
	if !o.URL.IsZero() {
		r.report.Compared = "endpoint"
		asked = &endpoint{
			client: newClient(o.URL.base, limiter, o.Timeout), base: o.URL, header: http.Header{"Authorization": {"Token " + o.Token}},
			media: o.Media.base(), portfolios: o.Portfolios, links: o.Links, moved: r.movedLinks,
		}
	}
	if o.Database.IsZero() {
		r.report.Source, r.source = "endpoint", asked
		return nil
	}
	opened, err := openDatabase(ctx, o.Database, o.Mapping)
	if err != nil {
		return err
	}
	r.source = opened
	if asked != nil {
		r.source = answering{opened, asked}
	}
	return nil
}

func (r *run) movedLinks(ctx context.Context, ids []int64) (map[int64]bool, error) {
	keys, err := r.target.Database.AreMoved(ctx, db.LinkRow, keysOf(ids))
	found := map[int64]bool{}
	for _, id := range ids {
		found[id] = keys[formatID(id)]
	}
	return found, err
}

func (r *run) run(ctx context.Context, stderr io.Writer, terminal bool) error {
	total, err := r.source.total(ctx)
	if err != nil {
		return err
	}
	r.progress = newProgress(ctx, total, stderr, terminal)
	defer r.progress.close()
	for b, err := range ahead(ctx, r.source.batches) {
		if err == nil {
			err = r.step(ctx, b, false)
		}
		if err != nil {
			return err
		}
	}
	if err := r.readAgain(ctx); err != nil {
		return err
	}
	if r.options.Database.IsZero() && r.report.Links == (Counts{}) {
		return &stopError{"none of the links is in the legacy system: are --portfolio and --links right?"}
	}
	return r.findGone(ctx)
}

// readAgain moves the links again that differ: they may have changed meanwhile.
func (r *run) readAgain(ctx context.Context) error {
	if len(r.again) == 0 {
		return nil
	}
	for b, err := range ahead(ctx, func(ctx context.Context) iter.Seq2[*batch, error] { return r.source.again(ctx, r.again) }) {
		if err == nil {
			err = r.step(ctx, b, true)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step moves a batch: first files, so that no row is without its files, then rows.
func (r *run) step(ctx context.Context, b *batch, again bool) error {
	for _, problem := range b.problems {
		r.report.add(result{kind: problem.Kind, key: problem.Key, outcome: differing, reason: problem.Reason})
	}
	if err := r.moveFiles(ctx, b, again); err != nil {
		return err
	}
	t, err := r.move(ctx, func(ctx context.Context, t *transaction) error { return t.move(ctx, b) })
	if err != nil {
		return err
	}
	if err := r.verify(ctx, b, t.results, again); err != nil {
		return err
	}
	if !again {
		r.progress.add(b.steps)
	}
	return nil
}

// move runs a transaction.
func (r *run) move(ctx context.Context, do func(context.Context, *transaction) error) (*transaction, error) {
	var t *transaction
	err := r.target.Database.Move(ctx, func(ctx context.Context, tx db.MoveTx) error {
		t = &transaction{tx: tx, rules: rules{r.options.Force, r.options.Delete}, dryRun: r.options.DryRun}
		err := do(ctx, t)
		if err == nil {
			r.noteChange(t.results)
		}
		return err
	})
	return t, err
}

// noteChange tells of the first change.
func (r *run) noteChange(results []result) {
	changes := slices.ContainsFunc(results, func(found result) bool { return found.outcome == moved || found.outcome == deleted })
	if changes && !r.changed && !r.options.DryRun {
		r.changed = true
		r.target.Changed()
	}
}

// moveFiles moves the files of the images that were not seen in this run, or if they
// are read again, of all.
func (r *run) moveFiles(ctx context.Context, b *batch, again bool) error {
	images := slices.DeleteFunc(slices.Clone(b.images), func(image *db.Image) bool { return !again && r.seen[db.ImageRow][formatID(image.ID)] })
	results, err := r.files.moveAll(ctx, images)
	if err != nil {
		return err
	}
	r.noteChange(results)
	for _, found := range results {
		if found.outcome == missing && r.missing[found.key] || found.outcome == unchanged && again {
			continue
		}
		if found.outcome == missing {
			r.missing[found.key] = true
		}
		r.report.add(found)
	}
	return nil
}

// verify compares the links that are here now, and adds all results to the report.
func (r *run) verify(ctx context.Context, b *batch, results []result, again bool) error {
	byKey := map[string]*link{}
	for _, link := range b.links {
		byKey[formatID(link.id)] = link
	}
	var links []*link
	for _, found := range results {
		if found.kind == db.LinkRow && found.outcome <= moved {
			links = append(links, byKey[found.key])
		}
	}
	compared, err := r.verifier.verify(ctx, links)
	if err != nil {
		return err
	}
	different := map[string][]Difference{}
	for i, link := range links {
		different[formatID(link.id)] = compared[i]
	}
	for _, found := range results {
		if found.kind == db.LinkRow && len(different[found.key]) > 0 {
			found.outcome, found.reason, found.differences = differing, "the responses differ", different[found.key]
			if !again && len(r.again) < maxAgain {
				r.again = append(r.again, byKey[found.key].key())
				continue
			}
		}
		if seen := r.seen[found.kind]; seen != nil {
			if seen[found.key] {
				continue
			}
			seen[found.key] = true
		}
		r.report.add(found)
	}
	return nil
}

// findGone handles rows that were moved and are gone, those that refer to others first.
func (r *run) findGone(ctx context.Context) error {
	const page = 1000
	for _, kind := range []db.RowKind{db.LinkRow, db.TokenRow, db.ImageRow, db.PortfolioRow, db.UserRow} {
		for after := ""; ; {
			keys, err := r.target.Database.MovedKeys(ctx, kind, after, page)
			if err != nil {
				return err
			}
			if len(keys) == 0 {
				break
			}
			after = keys[len(keys)-1]
			gone, err := r.source.missing(ctx, kind, keys)
			if err != nil {
				return err
			}
			if len(gone) == 0 {
				continue
			}
			t, err := r.move(ctx, func(ctx context.Context, t *transaction) error { return t.goneRows(ctx, kind, gone) })
			if err != nil {
				return err
			}
			for _, found := range t.results {
				r.report.add(found)
			}
		}
	}
	return nil
}

// ahead iterates over batches, of which the next one is read while one is used.
func ahead(ctx context.Context, batches func(context.Context) iter.Seq2[*batch, error]) iter.Seq2[*batch, error] {
	type item struct {
		b   *batch
		err error
	}
	return func(yield func(*batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		items := make(chan item)
		go func() {
			defer close(items)
			for b, err := range batches(ctx) {
				select {
				case items <- item{b, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() {
			cancel()
			for range items { //nolint:revive // until the reader has ended
			}
		}()
		for next := range items {
			if !yield(next.b, next.err) {
				return
			}
		}
		if err := ctx.Err(); err != nil {
			yield(nil, err)
		}
	}
}
