package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/minio/minio-go/v7/pkg/s3utils"
)

// presignedLifetime is the lifetime of a presigned URL. Clients may cache the redirect to the
// URL for half of that time, and have the second half to follow it.
const presignedLifetime = time.Hour

// s3Store is a Store in an S3 bucket.
type s3Store struct {
	client *minio.Client
	bucket string
}

// bucket is the parsed location of an S3 bucket.
type bucket struct {
	name, region string
	endpoint     *url.URL
	amazon       bool // whether it is a bucket of Amazon S3
}

// parseBucket parses s3://BUCKET?endpoint=URL&region=NAME.
func parseBucket(location string) (bucket, error) {
	parsed, err := url.Parse(location)
	if err != nil || parsed.Opaque != "" || parsed.Path != "" && parsed.Path != "/" || parsed.Fragment != "" {
		return bucket{}, errors.New("not s3://BUCKET?endpoint=URL&region=NAME")
	}
	if parsed.User != nil {
		return bucket{}, errors.New("must not contain keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	if parsed.Host == "" {
		return bucket{}, errors.New("s3: needs the name of a bucket")
	}
	if err := s3utils.CheckValidBucketName(parsed.Host); err != nil {
		return bucket{}, fmt.Errorf("bucket %q: %w", parsed.Host, err)
	}
	query, err := url.ParseQuery(parsed.RawQuery)
	if err != nil {
		return bucket{}, errors.New("not s3://BUCKET?endpoint=URL&region=NAME")
	}
	for name := range query {
		if name != "endpoint" && name != "region" {
			return bucket{}, fmt.Errorf("unknown parameter %q: there are endpoint and region", name)
		}
	}
	return locateBucket(parsed.Host, query.Get("endpoint"), query.Get("region"))
}

// locateBucket returns the bucket with its endpoint and region, or the error of an invalid location.
func locateBucket(name, endpoint, region string) (bucket, error) {
	amazon := endpoint == ""
	switch {
	case amazon && region == "":
		return bucket{}, errors.New("needs endpoint=URL, or region=NAME for Amazon S3")
	case amazon:
		endpoint = "https://s3." + region + ".amazonaws.com"
	case region == "":
		region = "us-east-1" // which compatible stores accept
	}
	server, err := url.Parse(endpoint)
	if err != nil || server.Scheme != "http" && server.Scheme != "https" || server.Hostname() == "" || server.User != nil {
		return bucket{}, errors.New("endpoint: not an absolute http or https URL")
	}
	if server.Path != "" && server.Path != "/" || server.RawQuery != "" || server.ForceQuery || server.Fragment != "" {
		return bucket{}, errors.New("endpoint: must end after the host and its port: requests are sent to /BUCKET/KEY, so stores below a path, as Supabase has, cannot be used")
	}
	return bucket{name, region, server, amazon}, nil
}

// keys returns the providers of credentials: the environment, the AWS credentials
// file and, on Amazon, the role of the machine or the container.
func (b bucket) keys() *credentials.Credentials {
	providers := []credentials.Provider{&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}}
	isSet := func(name string) bool { return os.Getenv(name) != "" }
	if b.amazon || slices.ContainsFunc([]string{"AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "AWS_CONTAINER_CREDENTIALS_FULL_URI"}, isSet) {
		providers = append(providers, &credentials.IAM{})
	}
	return credentials.NewChainCredentials(providers)
}

const keysTimeout = 5 * time.Second

// open returns the bucket as a Store. It sends no request, except to get the keys of a role.
func (b bucket) open(ctx context.Context) (Store, error) {
	keys := b.keys()
	keysCtx, cancel := context.WithTimeout(ctx, keysTimeout)
	defer cancel()
	value, err := keys.GetWithContext(&credentials.CredContext{Client: http.DefaultClient, Context: keysCtx})
	if err != nil || value.AccessKeyID == "" || value.SecretAccessKey == "" {
		return nil, errors.New("there are no keys: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY")
	}
	client, err := minio.New(b.endpoint.Host, &minio.Options{
		Creds:  keys,
		Secure: b.endpoint.Scheme == "https",
		Region: b.region, // or presigning would send a request for it
	})
	if err != nil {
		return nil, err
	}
	return &s3Store{client, b.name}, nil
}

func (*s3Store) Close() error { return nil }

func (s *s3Store) Create(ctx context.Context, key string, content io.Reader, size int64) error {
	if !ValidKey(key) {
		return fmt.Errorf("%w: %q", errInvalidKey, key)
	}
	options := minio.PutObjectOptions{ContentType: contentType(key), CacheControl: cacheForever, DisableMultipart: true}
	options.SetMatchETagExcept("*") // If-None-Match: never replace a file
	_, err := s.client.PutObject(ctx, s.bucket, key, content, size, options)
	if minio.ToErrorResponse(err).StatusCode == http.StatusPreconditionFailed {
		return ErrExists
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
	return nil
}

func (s *s3Store) Open(ctx context.Context, key string) (io.ReadCloser, error) {
	object, err := s.client.GetObject(ctx, s.bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	if _, err = object.Stat(); err == nil {
		return object, nil
	}
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		err = fmt.Errorf("%s: %w", key, fs.ErrNotExist)
	}
	return nil, errors.Join(err, object.Close())
}

func (s *s3Store) Exists(ctx context.Context, key string) (bool, error) {
	_, err := s.client.StatObject(ctx, s.bucket, key, minio.StatObjectOptions{})
	if minio.ToErrorResponse(err).StatusCode == http.StatusNotFound {
		return false, nil
	}
	return err == nil, err
}

func (s *s3Store) Remove(ctx context.Context, key string) error {
	return s.client.RemoveObject(ctx, s.bucket, key, minio.RemoveObjectOptions{})
}

func (s *s3Store) Files(ctx context.Context) iter.Seq2[File, error] {
	return func(yield func(File, error) bool) {
		for object := range s.client.ListObjectsIter(ctx, s.bucket, minio.ListObjectsOptions{Recursive: true}) {
			if !yield(File{object.Key, object.LastModified}, object.Err) || object.Err != nil {
				return
			}
		}
	}
}

// Check only checks that the bucket exists: writing an object costs money.
func (s *s3Store) Check(ctx context.Context) error {
	exists, err := s.client.BucketExists(ctx, s.bucket)
	if err == nil && !exists {
		err = fmt.Errorf("bucket %s does not exist", s.bucket)
	}
	return err
}

// Handler returns a handler that redirects to presigned URLs, so that the bucket need not be
// public.
func (s *s3Store) Handler(log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := keyFromRequest(w, r)
		if !ok {
			return
		}
		target, err := s.client.Presign(r.Context(), r.Method, s.bucket, key, presignedLifetime, nil)
		if err != nil {
			unavailable(w, r, log, err)
			return
		}
		w.Header().Set("Cache-Control", "private, max-age="+strconv.Itoa(int((presignedLifetime/2).Seconds())))
		http.Redirect(w, r, target.String(), http.StatusFound) //nolint:gosec // always to the endpoint of the store
	})
}
