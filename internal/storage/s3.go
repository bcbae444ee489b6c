package storage

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

// presignedFor is the lifetime of a presigned URL. Clients may cache the
// redirect to it for half of that, which leaves them the other half to follow
// it.
const presignedFor = time.Hour

// s3Store is a Store in an S3 bucket.
type s3Store struct {
	client *minio.Client
	bucket string
}

// openS3 opens s3://BUCKET?endpoint=URL&region=NAME. Credentials come from the
// environment, the AWS credentials file or the instance role.
func openS3(location string) (*s3Store, error) {
	parsed, err := url.Parse(location)
	if err != nil || parsed.Host == "" || parsed.Path != "" && parsed.Path != "/" || parsed.User != nil {
		return nil, errors.New("not s3://BUCKET?endpoint=URL&region=NAME")
	}
	query := parsed.Query()
	region, endpoint := query.Get("region"), query.Get("endpoint")
	if region == "" {
		region = "us-east-1"
	}
	if endpoint == "" {
		endpoint = "https://s3." + region + ".amazonaws.com"
	}
	server, err := url.Parse(endpoint)
	if err != nil || server.Scheme != "http" && server.Scheme != "https" || server.Host == "" {
		return nil, errors.New("endpoint: not an absolute http or https URL")
	}
	client, err := minio.New(server.Host, &minio.Options{
		Creds: credentials.NewChainCredentials([]credentials.Provider{
			&credentials.EnvAWS{}, &credentials.FileAWSCredentials{}, &credentials.IAM{},
		}),
		Secure: server.Scheme == "https",
		Region: region, // or presigning would send a request for it
	})
	if err != nil {
		return nil, err
	}
	return &s3Store{client, parsed.Host}, nil
}

func (*s3Store) Close() error { return nil }

func (s *s3Store) Create(ctx context.Context, key string, content io.Reader, size int64) error {
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

// Handler returns a handler that redirects to presigned URLs, so the bucket
// need not be public.
func (s *s3Store) Handler() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		key, ok := keyFromRequest(w, r)
		if !ok {
			return
		}
		target, err := s.client.Presign(r.Context(), r.Method, s.bucket, key, presignedFor, nil)
		if err != nil {
			http.Error(w, "File storage is unavailable.", http.StatusServiceUnavailable)
			return
		}
		w.Header().Set("Cache-Control", "private, max-age="+strconv.Itoa(int((presignedFor/2).Seconds())))
		http.Redirect(w, r, target.String(), http.StatusFound) //nolint:gosec // always to the endpoint of the store
	})
}
