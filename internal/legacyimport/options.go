package legacyimport

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// Options select what to import, and how.
type Options struct {
	Database DatabaseURL // source of the rows; zero: URL is the source
	Mapping  Mapping

	URL        ServerURL // the endpoint
	Token      string    // of the endpoint
	Portfolios []int64   // if URL is the source
	Links      Ranges    // if URL is the source

	Media   Media         // zero: the path /media/ of URL
	Rate    float64       // requests per second; 0 is no limit
	Timeout time.Duration // of a response
	MaxFile int64         // bytes

	DryRun bool // change nothing
	Force  bool // replace rows that were changed locally
	Delete bool // delete rows that the legacy system has deleted
}

// Check returns an error unless the options are complete and valid.
func (o Options) Check() error {
	switch {
	case o.Database.IsZero() && o.URL.IsZero():
		return errors.New("--database or --url is required")
	case !o.URL.IsZero() && o.Token == "":
		return errors.New("--url needs --token")
	case o.URL.IsZero() && o.Token != "":
		return errors.New("--token needs --url")
	case o.Database.IsZero() && len(o.Portfolios) == 0:
		return errors.New("--url needs --portfolio, unless --database is set")
	case o.Database.IsZero() && o.Links == nil:
		return errors.New("--url needs --links, unless --database is set")
	case !o.Database.IsZero() && (o.Links != nil || o.Portfolios != nil):
		return errors.New("--portfolio and --links exclude --database, which has all links")
	}
	return o.checkValues()
}

func (o Options) checkValues() error {
	switch {
	case !(o.Rate >= 0): // or if it is NaN
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
