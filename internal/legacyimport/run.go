package legacyimport

import (
	"context"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"portfolio/db"
	"portfolio/internal/storage"
)

// Target is the local system.
type Target struct {
	Database *db.DB
	Store    storage.Store
	Log      *slog.Logger
	Changed  func() // called before the first change
}

// run is one run of the import.
type run struct {
	target   Target
	options  Options
	source   source
	server   *endpoint // if the source is a database: sends the responses to compare; may be nil
	files    files
	verifier *verifier
	report   *Report
	progress *progress

	reported map[db.RowKind]map[string]bool // rows and files that several batches may have
	retries  []int64                        // IDs of links whose responses differ
	retrying bool
	changed  bool
}

// maxRetries limits the links that are read again.
const maxRetries = 10_000

// Run imports a legacy system. It returns a report even if it fails. It writes its progress to
// stderr: a bar if stderr is a terminal, else lines.
func Run(ctx context.Context, target Target, options Options, stderr io.Writer, terminal bool) (*Report, error) {
	r := &run{target: target, options: options, reported: map[db.RowKind]map[string]bool{db.PortfolioRow: {}, db.ImageRow: {}, fileKind: {}}}
	r.report = &Report{Source: "database", Compared: "rows of the database", DryRun: options.DryRun, Started: time.Now().UTC()}
	err := r.open(ctx)
	if err == nil {
		err = r.importAll(ctx, stderr, terminal)
		r.close(ctx)
	}
	r.report.finish(err == nil)
	return r.report, err
}

// open connects to the legacy system.
func (r *run) open(ctx context.Context) error {
	o, limiter := r.options, newLimiter(r.options.Rate)
	if o.Media.IsZero() && !o.URL.IsZero() {
		o.Media = Media{url: o.URL.join("/media")}
	}
	fetcher, err := o.Media.fetcher(o, limiter)
	if err != nil {
		return fmt.Errorf("--media: %w", err)
	}
	r.files = files{r.target.Store, fetcher, o.DryRun}
	r.verifier = newVerifier(r.target.Database, o.Media.base(), o.DryRun, r.target.Log)
	if !o.URL.IsZero() {
		r.report.Compared = "endpoint"
		r.server = &endpoint{
			client: newClient(o.URL.base, limiter, o.Timeout), base: o.URL, header: http.Header{"Authorization": {"Token " + o.Token}},
			media: o.Media.base(), portfolios: o.Portfolios, links: o.Links, database: r.target.Database,
		}
	}
	if o.Database.IsZero() {
		r.report.Source, r.source, r.server = "endpoint", r.server, nil
		return nil
	}
	r.source, err = openDatabase(ctx, o.Database, o.Mapping)
	return err
}

func (r *run) close(ctx context.Context) {
	r.source.close(ctx)
	r.files.close()
	if r.server != nil {
		r.server.close(ctx)
	}
}

// importAll imports all batches, retries links whose responses differ, and handles deleted rows.
func (r *run) importAll(ctx context.Context, stderr io.Writer, terminal bool) error {
	total, err := r.source.total(ctx)
	if err != nil {
		return err
	}
	r.progress = newProgress(ctx, total, stderr, terminal)
	defer r.progress.close()
	if err := r.importBatches(ctx, r.source.batches); err != nil {
		return err
	}
	if r.retrying = true; len(r.retries) > 0 { // the links may have changed during the run
		retry := func(ctx context.Context) iter.Seq2[*batch, error] { return r.source.retry(ctx, r.retries) }
		if err := r.importBatches(ctx, retry); err != nil {
			return err
		}
	}
	if r.options.Database.IsZero() && r.report.Links == (Counts{}) {
		return &stopError{"no links found: check --portfolio and --links"}
	}
	for _, k := range slices.Backward(kinds) {
		if err := r.deleteMissing(ctx, k); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) importBatches(ctx context.Context, batches func(context.Context) iter.Seq2[*batch, error]) error {
	for b, err := range r.prefetch(ctx, batches) {
		if err == nil {
			err = r.importBatch(ctx, b)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// importBatch imports the files of a batch, then the rows that refer to them. It compares the
// responses for links.
func (r *run) importBatch(ctx context.Context, b *batch) error {
	for _, problem := range b.problems {
		r.report.add(result{decision{differing, problem.Reason}, problem.Kind, problem.Key, nil})
	}
	if err := r.importFiles(ctx, b); err != nil {
		return err
	}
	results, err := r.transact(ctx, func(ctx context.Context, t *transaction) error { return t.importBatch(ctx, b) })
	if err != nil {
		return err
	}
	if err := r.verify(ctx, b, results); err != nil {
		return err
	}
	if !r.retrying {
		r.progress.add(b.steps)
	}
	return nil
}

// transact runs do in a transaction and returns the results.
func (r *run) transact(ctx context.Context, do func(context.Context, *transaction) error) (results []result, err error) {
	err = r.target.Database.Import(ctx, func(ctx context.Context, tx db.ImportTx) error {
		t := &transaction{tx: tx, rules: rules{r.options.Force, r.options.Delete}, dryRun: r.options.DryRun}
		if err := do(ctx, t); err != nil {
			return err
		}
		results = t.results
		r.auditFirstChange(results)
		return nil
	})
	return results, err
}

// auditFirstChange calls Target.Changed if the results have the first change of the run.
func (r *run) auditFirstChange(results []result) {
	changes := slices.ContainsFunc(results, func(r result) bool { return r.outcome == imported || r.outcome == deleted })
	if changes && !r.changed && !r.options.DryRun {
		r.changed = true
		r.target.Changed()
	}
}

// importFiles imports the files of images. Unless it retries, it skips images of earlier
// batches.
func (r *run) importFiles(ctx context.Context, b *batch) error {
	images := slices.DeleteFunc(slices.Clone(b.images), func(image *db.Image) bool {
		return !r.retrying && r.reported[db.ImageRow][formatID(image.ID)]
	})
	results, err := r.files.importAll(ctx, images)
	if err != nil {
		return err
	}
	r.auditFirstChange(results)
	for _, result := range results {
		if result.outcome == unchanged && r.retrying {
			continue
		}
		if result.outcome != missing || r.isFirst(result) {
			r.report.add(result)
		}
	}
	return nil
}

// isFirst reports whether the run has reported no result for the same row or file yet. It
// remembers only results of kinds that several batches may have.
func (r *run) isFirst(result result) bool {
	reported := r.reported[result.kind]
	if reported == nil {
		return true
	}
	isFirst := !reported[result.key]
	reported[result.key] = true
	return isFirst
}

// verify compares the responses for the links that were imported, and reports all results.
func (r *run) verify(ctx context.Context, b *batch, results []result) error {
	byKey := map[string]*link{}
	for _, link := range b.links {
		byKey[formatID(link.row.ID)] = link
	}
	var links []*link
	for _, result := range results {
		if result.kind == db.LinkRow && (result.outcome == unchanged || result.outcome == imported) {
			links = append(links, byKey[result.key])
		}
	}
	if err := r.verifier.verify(ctx, links); err != nil {
		return err
	}
	for _, result := range results {
		if link := byKey[result.key]; result.kind == db.LinkRow && link != nil && len(link.differences) > 0 {
			if !r.retrying && len(r.retries) < maxRetries {
				r.retries = append(r.retries, link.row.ID)
				continue
			}
			result.decision, result.differences = decision{differing, "the responses differ"}, link.differences
		}
		if r.isFirst(result) {
			r.report.add(result)
		}
	}
	return nil
}

// deleteMissing handles imported rows that the legacy system has deleted.
func (r *run) deleteMissing(ctx context.Context, k importer) error {
	const page = 1000
	for cursor := ""; ; {
		keys, err := r.target.Database.ImportedKeys(ctx, k.rowKind(), cursor, page)
		if err != nil || len(keys) == 0 {
			return err
		}
		cursor = keys[len(keys)-1]
		missing, err := r.source.missing(ctx, k.rowKind(), keys)
		if err != nil {
			return err
		}
		results, err := r.transact(ctx, func(ctx context.Context, t *transaction) error { return k.deleteRows(ctx, t, missing) })
		if err != nil {
			return err
		}
		for _, result := range results {
			r.report.add(result)
		}
	}
}

// prefetch iterates over batches. It reads the next batch while the caller uses one.
func (r *run) prefetch(ctx context.Context, batches func(context.Context) iter.Seq2[*batch, error]) iter.Seq2[*batch, error] {
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
				if err == nil && r.server != nil {
					err = r.server.addResponses(ctx, b)
				}
				select {
				case items <- item{b, err}:
				case <-ctx.Done():
					return
				}
			}
		}()
		defer func() {
			cancel()
			for range items { //nolint:revive // until the goroutine ends
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
