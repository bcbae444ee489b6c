package legacyimport

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"reflect"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgtype"

	"portfolio/db"
	"portfolio/internal/document"
)

// field is a field of a document. It distinguishes null from a missing field.
type field[T any] struct {
	set   bool
	value *T
	err   error // why there is no value
}

// UnmarshalJSON implements json.Unmarshaler. It keeps its error, so that nullable can name
// the field.
func (f *field[T]) UnmarshalJSON(text []byte) error {
	f.set, f.err = true, decodeStrict(text, &f.value)
	if f.err == nil && text[0] == '"' && !document.IsUnicode(text) { // the decoder replaces invalid characters
		f.value, f.err = nil, errors.New("must be UTF-8 without unpaired surrogates")
	}
	return nil
}

func decodeStrict(text []byte, value any) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(value); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("data follows the document")
	}
	return nil
}

// linkDocument is the documented response for a link.
type linkDocument struct {
	ID          field[int64]         `json:"id"`
	Name        field[string]        `json:"name"`
	URL         field[string]        `json:"url"`
	ImageData   field[imageDocument] `json:"image_data"`
	Description field[string]        `json:"description"`
	CreatedAt   field[string]        `json:"created_at"`
	UpdatedAt   field[string]        `json:"updated_at"`
}

type imageDocument struct {
	ID         field[int64]               `json:"id"`
	Type       field[string]              `json:"type"`
	Name       field[string]              `json:"name"`
	Size       field[int64]               `json:"size"`
	HumanSize  field[string]              `json:"human_readable_size"`
	F          field[string]              `json:"f"`
	Width      field[int64]               `json:"width"`
	Height     field[int64]               `json:"height"`
	Mode       field[string]              `json:"mode"`
	Thumbnails field[[]thumbnailDocument] `json:"thumbnails"`
}

type thumbnailDocument struct {
	ID   field[int64]  `json:"id"`
	F    field[string] `json:"f"`
	Size field[int64]  `json:"size"`
}

// parser reads a document and collects its errors.
type parser struct {
	checks
	media mediaBase
}

// require returns the value of a field that must not be null.
func require[T any](p *parser, name string, f field[T]) (value T) {
	optional := nullable(p, name, f)
	if optional != nil {
		return *optional
	}
	if f.set && f.err == nil {
		p.fail(name, "must not be null")
	}
	return value
}

// nullable returns the value of a field that may be null.
func nullable[T any](p *parser, name string, f field[T]) *T {
	switch {
	case !f.set:
		p.fail(name, "is missing")
	case f.err != nil:
		p.fail(name, explainJSON(f.err))
		return nil
	}
	return f.value
}

// parseLink reads the document of the link with this ID. The URLs of files must be
// below media.
func parseLink(text []byte, id linkID, media mediaBase) (*db.PortfolioLink, error) {
	var document linkDocument
	if err := decodeStrict(text, &document); err != nil {
		return nil, &documentError{explainJSON(err)}
	}
	p := &parser{media: media}
	row := &db.PortfolioLink{
		ID: require(p, "id", document.ID), PortfolioID: id.portfolioID,
		Name: require(p, "name", document.Name), URL: nullable(p, "url", document.URL), Description: nullable(p, "description", document.Description),
		CreatedAt: p.timestamp("created_at", document.CreatedAt), UpdatedAt: p.timestamp("updated_at", document.UpdatedAt),
	}
	if len(p.checks) == 0 && row.ID != id.id {
		p.fail("id", "is "+formatID(row.ID)+", not "+formatID(id.id))
	}
	p.text("name", &row.Name)
	p.text("url", row.URL)
	p.text("description", row.Description)
	if image := nullable(p, "image_data", document.ImageData); image != nil {
		row.ImageData = p.image(image)
		row.ImageID = &row.ImageData.ID
	}
	if len(p.checks) > 0 {
		return nil, &documentError{strings.Join(p.checks, "; ")}
	}
	return row, nil
}

// documentError reports that a response is not the documented JSON.
type documentError struct{ reason string }

func (e *documentError) Error() string { return "not the documented JSON: " + e.reason }

// explainJSON describes a decoding error without the names of Go types.
func explainJSON(err error) string {
	typeErr, ok := errors.AsType[*json.UnmarshalTypeError](err)
	if !ok {
		return strings.TrimPrefix(err.Error(), "json: ")
	}
	want := map[reflect.Kind]string{reflect.Int64: "a whole number of 64 bits", reflect.String: "a string", reflect.Slice: "a list"}[typeErr.Type.Kind()]
	got := map[string]string{"string": "a string", "array": "a list", "object": "an object", "bool": "true or false"}[typeErr.Value]
	return "must be " + cmp.Or(want, "an object") + ", not " + cmp.Or(got, "a number")
}

// image returns the image of a document. It records errors.
func (p *parser) image(document *imageDocument) *db.Image {
	image := &db.Image{
		ID: require(p, "image_data.id", document.ID), Type: require(p, "image_data.type", document.Type),
		Name: require(p, "image_data.name", document.Name), Size: require(p, "image_data.size", document.Size),
		Path:  p.path("image_data.f", document.F),
		Width: p.number("image_data.width", nullable(p, "image_data.width", document.Width)), Height: p.number("image_data.height", nullable(p, "image_data.height", document.Height)),
		Mode: nullable(p, "image_data.mode", document.Mode),
	}
	require(p, "image_data.human_readable_size", document.HumanSize)
	p.id("image_data.id", image.ID)
	p.text("image_data.type", &image.Type)
	p.text("image_data.name", &image.Name)
	p.text("image_data.mode", image.Mode)
	seen := map[int64]bool{}
	for i, document := range require(p, "image_data.thumbnails", document.Thumbnails) {
		name := fmt.Sprintf("image_data.thumbnails[%d].", i)
		thumbnail := &db.Thumbnail{
			ID: require(p, name+"id", document.ID), ImageID: image.ID, Path: p.path(name+"f", document.F),
			Size: p.number(name+"size", nullable(p, name+"size", document.Size)),
		}
		p.id(name+"id", thumbnail.ID)
		if seen[thumbnail.ID] {
			p.fail(name+"id", formatID(thumbnail.ID)+" is repeated")
		}
		seen[thumbnail.ID] = true
		image.Thumbnails = append(image.Thumbnails, thumbnail)
	}
	return image
}

// timestamp returns the time of a field that must not be null.
func (p *parser) timestamp(name string, f field[string]) db.Time {
	failures := len(p.checks)
	text := require(p, name, f)
	if len(p.checks) > failures {
		return db.Time{}
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		p.fail(name, "is not a time")
		return db.Time{}
	}
	p.time(name, pgtype.Timestamptz{Time: parsed, Valid: true})
	return db.Time{Time: parsed.UTC().Truncate(time.Microsecond)}
}

// path returns the path of a file from its URL. Null is an empty path.
func (p *parser) path(name string, f field[string]) db.FileKey {
	text := nullable(p, name, f)
	if text == nil {
		return ""
	}
	path, err := p.media.path(*text)
	if err != nil {
		p.fail(name, err.Error())
	}
	return db.FileKey(path)
}

// mediaBase is the path of the directory of all files, with a slash at both ends.
type mediaBase string

// path returns the path of a file from its URL. It ignores the host.
func (m mediaBase) path(text string) (string, error) {
	parsed, err := url.Parse(text)
	if err != nil || parsed.Scheme != "http" && parsed.Scheme != "https" || parsed.Host == "" {
		return "", errors.New("is not an absolute http or https URL")
	}
	path, isBelow := strings.CutPrefix(parsed.EscapedPath(), string(m))
	switch {
	case parsed.RawQuery != "" || parsed.Fragment != "":
		return "", errors.New("has a query or a fragment")
	case !isBelow || path == "":
		return "", fmt.Errorf("is not below %s: set --media to the URL of the files", string(m))
	}
	if path, err = url.PathUnescape(path); err != nil || !fs.ValidPath(path) || !db.CanStoreText(path) {
		return "", errors.New("is not the path of a file")
	}
	return path, nil
}
