package model

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/apierror"
	"portfolio/internal/jsonenc"
	"portfolio/internal/storage"
)

type idValue int64

// MarshalID writes an ID as a string.
func MarshalID(id int64) graphql.Marshaler { return idValue(id) }

func (id idValue) MarshalGQL(w io.Writer) {
	b := strconv.AppendInt(append(make([]byte, 0, 22), '"'), int64(id), 10)
	_, _ = w.Write(append(b, '"'))
}

// UnmarshalID returns an error: arguments are NodeIDs.
func UnmarshalID(any) (int64, error) { return 0, apierror.Invalid("cannot be given") }

type nodeID db.NodeID

const maxNodeID = 60 // bytes

// MarshalNodeID writes a global ID as a string, in the form of Relay's libraries:
// the base64 encoding of the type and the ID.
func MarshalNodeID(id db.NodeID) graphql.Marshaler { return nodeID(id) }

func (id nodeID) MarshalGQL(w io.Writer) {
	_, _ = w.Write(AppendNodeID(nil, db.NodeID(id)))
}

// AppendNodeID appends the JSON value of a global ID to b.
func AppendNodeID(b []byte, id db.NodeID) []byte {
	text := make([]byte, 0, 40)
	text = strconv.AppendInt(append(append(text, id.Type...), ':'), id.ID, 10)
	return append(base64.StdEncoding.AppendEncode(append(b, '"'), text), '"')
}

// UnmarshalNodeID reads an ID from a number, or a string that holds a number or a
// global ID.
func UnmarshalNodeID(v any) (db.NodeID, error) {
	if v == nil {
		return db.NodeID{}, apierror.Invalid("must not be null")
	}
	if text, ok := v.(string); ok {
		if id, ok := parseNodeID(text); ok {
			return id, nil
		}
	}
	number, err := wholeNumber(v)
	if err != nil {
		return db.NodeID{}, apierror.Invalid("must be a 64-bit whole number or a nodeId")
	}
	return db.NodeID{ID: number}, nil
}

// parseNodeID reports false for any text that AppendNodeID does not write. The decoded
// form of a text of digits has no colon.
func parseNodeID(text string) (db.NodeID, bool) {
	if len(text) > maxNodeID {
		return db.NodeID{}, false
	}
	decoded, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return db.NodeID{}, false
	}
	typename, digits, ok := strings.Cut(string(decoded), ":")
	number, err := strconv.ParseInt(digits, 10, 64)
	id := db.NodeID{Type: db.NodeType(typename), ID: number}
	return id, ok && err == nil && typename != "" && string(AppendNodeID(nil, id)) == `"`+text+`"`
}

type bigInt int64

// MarshalBigInt writes a number with all its digits.
func MarshalBigInt(i int64) graphql.Marshaler { return bigInt(i) }

func (i bigInt) MarshalGQL(w io.Writer) {
	_, _ = w.Write(strconv.AppendInt(make([]byte, 0, 20), int64(i), 10))
}

// UnmarshalBigInt reads a number, or a string of digits.
func UnmarshalBigInt(v any) (int64, error) { return wholeNumber(v) }

// wholeNumber returns the 64-bit integer of a number or of a string of digits.
func wholeNumber(v any) (int64, error) {
	var (
		i   int64
		err error
	)
	switch v := v.(type) {
	case string:
		i, err = strconv.ParseInt(v, 10, 64)
	case json.Number:
		i, err = v.Int64()
	case int64:
		i = v
	case int:
		i = int64(v)
	default:
		err = strconv.ErrSyntax
	}
	if err != nil {
		return 0, apierror.Invalid("must be a whole number between " + strconv.Itoa(math.MinInt64) + " and " + strconv.Itoa(math.MaxInt64))
	}
	return i, nil
}

type dateTime struct{ time.Time }

// MarshalDateTime writes an RFC 3339 time in UTC, with microseconds if it has any.
func MarshalDateTime(t db.Time) graphql.Marshaler { return dateTime{t.Time} }

func (t dateTime) MarshalGQL(w io.Writer) {
	b := jsonenc.AppendTime(append(make([]byte, 0, 30), '"'), t.Time)
	_, _ = w.Write(append(b, '"'))
}

// rfc3339 matches the times of RFC 3339 with up to nine decimals. time.Parse accepts some
// times that RFC 3339 forbids, and rejects some that it allows.
var rfc3339 = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]([01]\d|2[0-3]):[0-5]\d)$`)

// UnmarshalDateTime reads an RFC 3339 time. It keeps nanoseconds, so that a time between two
// microseconds never equals the time of a row.
func UnmarshalDateTime(v any) (db.Time, error) {
	text, _ := v.(string)
	text = strings.ToUpper(text)
	t, err := time.Parse(time.RFC3339, text)
	t = t.UTC()
	if err != nil || !rfc3339.MatchString(text) || !db.CanStoreTime(t) || !db.CanStoreTime(t.Add(time.Microsecond-1)) {
		return db.Time{}, apierror.Invalid("must be a time such as 2026-01-13T10:05:43Z")
	}
	return db.Time{Time: t}, nil
}

// MarshalURL writes a URL as a string.
func MarshalURL(url string) graphql.Marshaler { return graphql.MarshalString(url) }

// UnmarshalURL reads a string.
func UnmarshalURL(v any) (string, error) {
	text, ok := v.(string)
	if !ok {
		return "", apierror.Invalid("must be a string")
	}
	return text, nil
}

type mediaURL db.FileKey

// MarshalMediaURL writes the URL of a stored file.
func MarshalMediaURL(path db.FileKey) graphql.ContextMarshaler { return mediaURL(path) }

func (path mediaURL) MarshalGQLContext(ctx context.Context, w io.Writer) error {
	graphql.MarshalString(storage.URL(storage.BaseURL(ctx), string(path))).MarshalGQL(w)
	return nil
}

// UnmarshalMediaURL returns an error: no argument has this type.
func UnmarshalMediaURL(context.Context, any) (db.FileKey, error) {
	return "", apierror.Invalid("cannot be given")
}

type srcset db.Srcset

// MarshalSrcset writes the value of the srcset attribute of an img element, or
// null if there are no files.
func MarshalSrcset(files db.Srcset) graphql.ContextMarshaler { return srcset(files) }

func (files srcset) MarshalGQLContext(ctx context.Context, w io.Writer) error {
	_, err := w.Write(AppendSrcset(nil, storage.BaseURL(ctx), db.Srcset(files)))
	return err
}

// AppendSrcset appends the JSON value of a srcset to b. The URLs of files begin
// with base.
func AppendSrcset(b []byte, base string, files db.Srcset) []byte {
	if files == nil {
		return append(b, "null"...)
	}
	var text []byte
	for i, file := range files {
		if i > 0 {
			text = append(text, ", "...)
		}
		text = append(append(text, storage.URL(base, string(file.Path))...), ' ')
		text = append(strconv.AppendInt(text, int64(file.Width), 10), 'w')
	}
	return AppendString(b, string(text))
}

// UnmarshalSrcset returns an error: no argument has this type.
func UnmarshalSrcset(context.Context, any) (db.Srcset, error) {
	return nil, apierror.Invalid("cannot be given")
}

// MarshalHumanSize writes a size in bytes as the legacy system formats it.
func MarshalHumanSize(bytes int64) graphql.Marshaler {
	return graphql.WriterFunc(func(w io.Writer) {
		_, _ = w.Write(append(jsonenc.AppendHumanSize([]byte{'"'}, bytes), '"'))
	})
}

// UnmarshalHumanSize returns an error: no argument has this type.
func UnmarshalHumanSize(any) (int64, error) { return 0, apierror.Invalid("cannot be given") }

// MarshalUpload writes null: no field returns an upload.
func MarshalUpload(graphql.Upload) graphql.Marshaler { return graphql.Null }

// UnmarshalUpload returns a file of a multipart request.
func UnmarshalUpload(v any) (graphql.Upload, error) {
	file, ok := v.(interface{ Upload() graphql.Upload })
	if !ok {
		return graphql.Upload{}, apierror.Invalid("must be a file sent as the GraphQL multipart request specification describes")
	}
	return file.Upload(), nil
}

// CheckScalar returns the validation error of a value of a scalar that this package
// defines, or nil.
func CheckScalar(name string, value any) *apierror.InputError {
	var err error
	switch name {
	case "ID":
		_, err = UnmarshalNodeID(value)
	case "BigInt":
		_, err = UnmarshalBigInt(value)
	case "DateTime":
		_, err = UnmarshalDateTime(value)
	case "URL":
		_, err = UnmarshalURL(value)
	case "Upload":
		_, err = UnmarshalUpload(value)
	}
	inputError, _ := errors.AsType[*apierror.InputError](err)
	return inputError
}
