package imaging

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
)

// signed is how long the address of a file in a bucket is good for. The
// redirect to it may be kept for half of that, so that a browser has the
// other half to follow it.
const signed = time.Hour

// bucket is a Store on S3.
type bucket struct {
	client *minio.Client
	name   string
}

// openBucket opens s3://BUCKET?endpoint=URL&region=NAME. The keys are found
// as Amazon's own programs do: environment, credentials file, instance role.
func openBucket(address string) (*bucket, error) {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Host == "" || parsed.Path != "" && parsed.Path != "/" || parsed.User != nil {
		return nil, errors.New("not s3://BUCKET?endpoint=URL&region=NAME")
	}
	options := parsed.Query()
	region, endpoint := options.Get("region"), options.Get("endpoint")
	if region == "" {
		region = "us-east-1"
	}
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	at, err := url.Parse(endpoint)
	if err != nil || at.Scheme != "http" && at.Scheme != "https" || at.Host == "" {
		return nil, errors.New("endpoint: not an absolute http or https address")
	}
	client, err := minio.New(at.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: at.Scheme == "https",
		Region: region, // known, so that signing an address asks nobody
	})
	if err != nil {
		return nil, err
	}
	return &bucket{client, parsed.Host}, nil
}

func (*bucket) Close() error { return nil }

func (b *bucket) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	options := minio.PutObjectOptions{ContentType: contentType(key), CacheControl: immutable, DisableMultipart: true}
	options.SetMatchETagExcept("*") // If-None-Match: never replace a file
	_, err := b.client.PutObject(ctx, b.name, key, content, size, options)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (b *bucket) Exists(ctx context.Context, key string) (bool, error) {
	_, err := b.client.StatObject(ctx, b.name, key, minio.StatObjectOptions{})
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

func (b *bucket) Remove(ctx context.Context, key string) error {
	return b.client.RemoveObject(ctx, b.name, key, minio.RemoveObjectOptions{})
}

func (b *bucket) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for object := range b.client.ListObjectsIter(ctx, b.name, minio.ListObjectsOptions{Recursive: true}) {
			if !yield(File{object.Key, object.LastModified}, object.Err) || object.Err != nil {
				return
			}
		}
	}
}

// Check asks for the bucket only: what is written costs money.
func (b *bucket) Check(ctx context.Context) error {
	found, err := b.client.BucketExists(ctx, b.name)
	if err == nil && !found {
		err = errors.New("there is no bucket " + b.name)
	}
	return err
}

// Handler redirects to addresses that the bucket itself answers, for which it
// need not be public.
func (b *bucket) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := served(w, r)
		if !ok {
			return
		}
		address, err := b.client.Presign(r.Context(), r.Method, b.name, key, signed, nil)
		if err != nil {
			http.Error(w, "The store of files does not answer.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "private, max-age="+strconv.Itoa(int((signed/2).Seconds())))
		http.Redirect(w, r, address.String(), http.StatusFound) //nolint:gosec // to the host of MEDIA_STORE, whatever the request says
	})
}
