package legacyimport

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"strings"

	"golang.org/x/sync/errgroup"
	"golang.org/x/time/rate"

	"portfolio/db"
	datafiles "portfolio/internal/files"
	"portfolio/internal/storage"
)

// Media is the URL or the directory of the files of the legacy system. The zero value is
// neither.
type Media struct {
	url       ServerURL
	directory string
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (m *Media) UnmarshalText(text []byte) error {
	*m = Media{}
	if strings.Contains(string(text), "://") {
		return m.url.UnmarshalText(text)
	}
	m.directory = string(text)
	return nil
}

// IsZero reports whether there is neither a URL nor a directory.
func (m Media) IsZero() bool { return m.url.IsZero() && m.directory == "" }

// base returns the path of the URLs of files.
func (m Media) base() mediaBase {
	if m.url.IsZero() {
		return storage.Prefix
	}
	return mediaBase(m.url.base.EscapedPath() + "/")
}

// fetcher opens files of the legacy system by their paths.
type fetcher interface {
	open(ctx context.Context, path string) (*content, error)
	close()
}

func (m Media) fetcher(options Options, limiter *rate.Limiter) (fetcher, error) {
	switch {
	case !m.url.IsZero():
		return &urlFetcher{newClient(m.url.base, limiter, options.Timeout), m.url, options.MaxFile}, nil
	case m.directory != "":
		root, err := os.OpenRoot(m.directory)
		if err != nil {
			return nil, err
		}
		return &directoryFetcher{root, options.MaxFile}, nil
	}
	return nil, nil //nolint:nilnil // there are no files
}

type urlFetcher struct {
	client *client
	base   ServerURL
	limit  int64
}

func (f *urlFetcher) close() { f.client.close() }

func (f *urlFetcher) open(ctx context.Context, path string) (file *content, err error) {
	err = f.client.get(ctx, f.base.String()+"/"+(&url.URL{Path: path}).EscapedPath(), http.Header{}, func(r *http.Response) error {
		if r.StatusCode != http.StatusOK {
			return &statusError{r.StatusCode}
		}
		if r.ContentLength > f.limit {
			return errTooLarge
		}
		file, err = spool(r.Body, f.limit)
		return err
	})
	return file, err
}

type directoryFetcher struct {
	root  *os.Root // does not follow symbolic links out of the directory
	limit int64
}

func (f *directoryFetcher) close() { _ = f.root.Close() }

func (f *directoryFetcher) open(_ context.Context, path string) (*content, error) {
	file, info, err := datafiles.OpenRegular(f.root, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, errors.New("there is no such file")
	case errors.Is(err, datafiles.ErrIrregular):
		return nil, datafiles.ErrIrregular
	case err != nil:
		return nil, err
	case info.Size() > f.limit:
		_ = file.Close()
		return nil, errTooLarge
	}
	head := make([]byte, min(info.Size(), sniffSize))
	if _, err := file.ReadAt(head, 0); err != nil {
		_ = file.Close()
		return nil, err
	}
	return &content{Reader: io.LimitReader(file, info.Size()), size: info.Size(), head: head, file: file}, nil
}

const sniffSize = 512 // bytes that determine the type of a file

// files imports files into a store.
type files struct {
	store  storage.Store
	legacy fetcher // if nil, importAll only checks that the store has the files
	dryRun bool
}

func (f *files) close() {
	if f.legacy != nil {
		f.legacy.close()
	}
}

// importAll imports the files of images concurrently. It returns an error only if the run must
// end. Errors of single files are in the results.
func (f *files) importAll(ctx context.Context, images []*db.Image) ([]result, error) {
	var paths []string
	seen := map[string]bool{}
	add := func(path db.FileKey) {
		if key := storage.Key(string(path)); key != "" && !seen[key] {
			seen[key], paths = true, append(paths, key)
		}
	}
	for _, image := range images {
		add(image.Path)
		for _, thumbnail := range image.Thumbnails {
			add(thumbnail.Path)
		}
	}
	results := make([]result, len(paths))
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(workers)
	for i, path := range paths {
		group.Go(func() (err error) {
			results[i] = result{kind: fileKind, key: path}
			results[i].outcome, err = f.importFile(ctx, path)
			if stop, ok := errors.AsType[*stopError](err); ok || ctx.Err() != nil || errors.Is(err, storage.ErrUnavailable) {
				if ok {
					return stop
				}
				return err
			}
			if err != nil {
				results[i].outcome, results[i].reason = missing, err.Error()
			}
			return nil
		})
	}
	return results, group.Wait()
}

// importFile imports a file unless the store has it. If it fails, the outcome is missing.
func (f *files) importFile(ctx context.Context, key string) (outcome, error) {
	if !storage.ValidKey(key) {
		return missing, errors.New("a file cannot have this name in the media store")
	}
	if exists, err := f.store.Exists(ctx, key); err != nil || exists {
		return unchanged, err
	}
	if f.legacy == nil {
		return missing, errors.New("the media store lacks it, and --media is not set")
	}
	if f.dryRun {
		return imported, nil
	}
	file, err := f.legacy.open(ctx, key)
	if err != nil {
		return missing, err
	}
	defer file.close()
	switch {
	case file.size == 0:
		return missing, errors.New("the file is empty")
	case strings.HasPrefix(http.DetectContentType(file.head), "text/html") && !strings.HasPrefix(path.Ext(key), ".htm"):
		return missing, errors.New("the file is an HTML page")
	}
	err = f.store.Create(ctx, key, file, file.size)
	if errors.Is(err, storage.ErrExists) { // another process imported it
		return unchanged, nil
	}
	if err != nil {
		return missing, fmt.Errorf("store the file %s: %w", key, err)
	}
	return imported, nil
}
