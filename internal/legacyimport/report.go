package legacyimport

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"

	"portfolio/db"
	"portfolio/internal/printable"
)

// State says how a row or a file differs from the legacy system.
type State string

// The states.
const (
	Skipped   State = "skipped"   // a local change was kept
	Differing State = "differing" // the values or the responses differ
	Missing   State = "missing"   // the store lacks a file
)

// fileKind is the kind of a file among the kinds of rows.
const fileKind db.RowKind = "file"

// Problem is a row or a file that differs from the legacy system.
type Problem struct {
	Kind        db.RowKind   `json:"kind"`
	Key         string       `json:"key"` // the ID of a row, or the path of a file
	State       State        `json:"state"`
	Reason      string       `json:"reason"`
	Differences []Difference `json:"differences,omitempty"`
}

// Difference is a difference between two responses.
type Difference struct {
	Field  string `json:"field"` // such as image_data.name
	Legacy string `json:"legacy"`
	Local  string `json:"local"`
}

// Counts counts rows or files by their outcomes.
type Counts struct {
	Imported  int `json:"imported"`
	Unchanged int `json:"unchanged"`
	Deleted   int `json:"deleted,omitempty"`
	Skipped   int `json:"skipped"`
	Differing int `json:"differing"`
	Missing   int `json:"missing,omitempty"`
}

// Report is the result of a run.
type Report struct {
	Source   string    `json:"source"`   // database or endpoint
	Compared string    `json:"compared"` // the source of the legacy responses
	DryRun   bool      `json:"dryRun"`
	Started  time.Time `json:"started"`
	Finished time.Time `json:"finished"`
	Complete bool      `json:"complete"`
	Equal    bool      `json:"equal"`

	Users      Counts `json:"users"`
	Tokens     Counts `json:"tokens"`
	Portfolios Counts `json:"portfolios"`
	Images     Counts `json:"images"`
	Links      Counts `json:"links"`
	Files      Counts `json:"files"`

	Problems []Problem `json:"problems"`
	Omitted  int       `json:"omittedProblems"`
}

const (
	maxProblems = 10_000 // of a report
	maxPrinted  = 50
	maxExcerpt  = 200 // bytes
)

// counts returns the counts of a kind.
func (r *Report) counts(kind db.RowKind) *Counts {
	return map[db.RowKind]*Counts{
		db.UserRow: &r.Users, db.TokenRow: &r.Tokens, db.PortfolioRow: &r.Portfolios, db.ImageRow: &r.Images, db.LinkRow: &r.Links, fileKind: &r.Files,
	}[kind]
}

// add adds the result of a row or a file.
func (r *Report) add(res result) {
	counts := r.counts(res.kind)
	state := Differing
	switch res.outcome {
	case imported:
		counts.Imported++
		return
	case unchanged:
		counts.Unchanged++
		return
	case deleted:
		counts.Deleted++
		return
	case skipped:
		counts.Skipped++
		state = Skipped
	case missing:
		counts.Missing++
		state = Missing
	default:
		counts.Differing++
	}
	if len(r.Problems) == maxProblems {
		r.Omitted++
		return
	}
	r.Problems = append(r.Problems, Problem{res.kind, res.key, state, res.reason, res.differences})
}

// Write writes the report as text.
func (r *Report) Write(output io.Writer) error {
	table := tabwriter.NewWriter(output, 0, 0, 2, ' ', tabwriter.AlignRight)
	head := "imported"
	if r.DryRun {
		head = "to import"
	}
	_, _ = fmt.Fprintf(table, "\t%s\tunchanged\tdeleted\tskipped\tdiffering\tmissing\t\n", head)
	for _, row := range []struct {
		name   string
		counts Counts
	}{{"users", r.Users}, {"tokens", r.Tokens}, {"portfolios", r.Portfolios}, {"images", r.Images}, {"links", r.Links}, {"files", r.Files}} {
		c := row.counts
		_, _ = fmt.Fprintf(table, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t\n", row.name, c.Imported, c.Unchanged, c.Deleted, c.Skipped, c.Differing, c.Missing)
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for i, problem := range r.Problems {
		if i == maxPrinted {
			_, _ = fmt.Fprintf(output, "and %d more: --report lists all\n", len(r.Problems)+r.Omitted-maxPrinted)
			break
		}
		_, _ = fmt.Fprintf(output, "%s %s %s: %s\n", problem.State, problem.Kind, printable.Quote(problem.Key), printable.Quote(problem.Reason))
		writeDifferences(output, problem.Differences)
	}
	_, err := fmt.Fprintln(output, r.summary())
	return err
}

func writeDifferences(output io.Writer, differences []Difference) {
	for _, d := range differences {
		_, _ = fmt.Fprintf(output, "  %s: legacy %s, local %s\n", printable.Quote(d.Field), printable.Quote(d.Legacy), printable.Quote(d.Local))
	}
}

func (r *Report) summary() string {
	switch {
	case !r.Complete:
		return "The import is not complete. Run the same command again to continue."
	case !r.Equal:
		return "Some rows or files differ."
	case r.DryRun:
		return "Everything can be imported."
	}
	return fmt.Sprintf("Everything is equal. Responses compared with the %s: %d.", r.Compared, r.Links.Imported+r.Links.Unchanged)
}

// WriteJSON writes the report as JSON.
func (r *Report) WriteJSON(output io.Writer) error {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent("", "  ")
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(r); err != nil {
		return err
	}
	_, err := output.Write(printable.EscapeJSON(text.Bytes()))
	return err
}

// finish sets the fields that depend on the counts.
func (r *Report) finish(complete bool) {
	r.Finished, r.Complete, r.Equal = time.Now().UTC(), complete, complete
	for _, c := range []Counts{r.Users, r.Tokens, r.Portfolios, r.Images, r.Links, r.Files} {
		if c.Skipped+c.Differing+c.Missing > 0 {
			r.Equal = false
		}
	}
	if r.Problems == nil {
		r.Problems = []Problem{}
	}
}

// excerpt returns the beginning of a text, quoted.
func excerpt(text []byte) string {
	if len(text) > maxExcerpt {
		return strconv.Quote(string(text[:maxExcerpt])) + "..."
	}
	return strconv.Quote(string(text))
}
