package graph

import (
	"context"
	"io"
	"strconv"
	"sync"
	"time"

	"github.com/99designs/gqlgen/graphql"
	"github.com/vektah/gqlparser/v2/ast"

	"portfolio/db"
	"portfolio/graph/model"
	"portfolio/internal/admission"
	"portfolio/internal/jsonenc"
	"portfolio/internal/storage"
)

// gqlgen gives each field a context, a field context and a closure, and each
// element of a list a goroutine. Objects that were read whole need none of
// that: encodeResult writes them straight from their rows, three to ten times
// faster. It does what gqlgen would do; where it cannot, gqlgen does it.

// encodeResult returns what a field's resolver returned, encoded already where
// its selections hold plain data only. gqlgen takes a Marshaler in the place
// of the value. The error is of a response that has grown too large.
func encodeResult(ctx context.Context, resolved any) (any, error) {
	switch value := resolved.(type) {
	case *db.Image:
		return encodeObject(ctx, imageEncoder, value)
	case *db.PortfolioLink:
		return encodeObject(ctx, linkEncoder, value)
	case *db.Portfolio:
		return encodeObject(ctx, portfolioEncoder, value)
	case *model.PortfolioLinkConnection:
		return encodeObject(ctx, linkConnectionEncoder, value)
	case *model.PortfolioConnection:
		return encodeObject(ctx, portfolioConnectionEncoder, value)
	}
	return resolved, admission.MeterFrom(ctx).AddEncoded(ctx, sizeOf(ctx, resolved))
}

// sizeOf is about how many bytes gqlgen will encode of a field.
func sizeOf(ctx context.Context, resolved any) int {
	size := len(graphql.GetFieldContext(ctx).Field.Alias) + 20
	switch value := resolved.(type) {
	case string:
		size += len(value)
	case *string:
		if value != nil {
			size += len(*value)
		}
	case []int64:
		size += 20 * len(value)
	}
	return size
}

func encodeObject[T any](ctx context.Context, object *objectEncoder[T], value *T) (any, error) {
	if value == nil {
		return value, nil
	}
	p := encoding{ctx: ctx, operation: graphql.GetOperationContext(ctx), baseURL: storage.BaseURL(ctx), meter: admission.MeterFrom(ctx)}
	encode := object.prepare(&p, graphql.GetFieldContext(ctx).Field.Selections)
	if encode == nil {
		return value, nil
	}
	buffer := buffers.Get().(*[]byte)
	*buffer = encode((*buffer)[:0], value)
	p.count(len(*buffer))
	return rawJSON{buffer}, p.err
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled bounds the buffers that are kept for the next answer, in bytes.
const maxPooled = 256 << 10

// rawJSON is an encoded value. gqlgen writes each value once, after which its
// buffer is free.
type rawJSON struct{ buffer *[]byte }

func (j rawJSON) MarshalGQL(w io.Writer) {
	_, _ = w.Write(*j.buffer)
	if cap(*j.buffer) <= maxPooled {
		buffers.Put(j.buffer)
	}
}

// encoding is the state of encoding one value.
type encoding struct {
	ctx       context.Context
	operation *graphql.OperationContext
	baseURL   string
	meter     *admission.Meter
	counted   int // bytes that the meter knows of
	err       error
}

// count tells the meter how long the encoded value has grown.
func (p *encoding) count(length int) {
	if p.err == nil {
		p.err = p.meter.AddEncoded(p.ctx, length-p.counted)
		p.counted = length
	}
}

// appendFunc appends a value as JSON.
type appendFunc[T any] func(b []byte, value *T) []byte

// fieldEncoder makes the encoder of a field with the given selections, nil
// where they hold a field that is not plain.
type fieldEncoder[T any] func(p *encoding, selections ast.SelectionSet) appendFunc[T]

// objectEncoder is an object type with the fields that its rows hold.
type objectEncoder[T any] struct {
	name   string
	fields map[string]fieldEncoder[T]
}

func (o *objectEncoder[T]) prepare(p *encoding, selections ast.SelectionSet) appendFunc[T] {
	type step struct {
		alias  string
		encode appendFunc[T]
	}
	collected := graphql.CollectFields(p.operation, selections, []string{o.name})
	steps := make([]step, len(collected))
	for i, field := range collected {
		steps[i].alias = field.Alias
		if field.Name == "__typename" {
			steps[i].encode = func(b []byte, _ *T) []byte { return model.AppendString(b, o.name) }
			continue
		}
		newField, ok := o.fields[field.Name]
		if _, guarded := requiredPermission(field.Definition); guarded || !ok {
			return nil
		}
		if steps[i].encode = newField(p, field.Selections); steps[i].encode == nil {
			return nil
		}
	}
	return func(b []byte, value *T) []byte {
		b = append(b, '{')
		for i, step := range steps {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(append(append(b, '"'), step.alias...), '"', ':')
			b = step.encode(b, value)
		}
		return append(b, '}')
	}
}

// scalarField encodes a field without selections.
func scalarField[T any](encode appendFunc[T]) fieldEncoder[T] {
	return func(*encoding, ast.SelectionSet) appendFunc[T] { return encode }
}

// urlField encodes the URL of a stored file.
func urlField[T any](path func(*T) db.FileKey) fieldEncoder[T] {
	return func(p *encoding, _ ast.SelectionSet) appendFunc[T] {
		return func(b []byte, value *T) []byte {
			return model.AppendString(b, storage.URL(p.baseURL, string(path(value))))
		}
	}
}

// objectField encodes an object or null.
func objectField[T, U any](of *objectEncoder[U], get func(*T) *U) fieldEncoder[T] {
	return func(p *encoding, selections ast.SelectionSet) appendFunc[T] {
		encode := of.prepare(p, selections)
		if encode == nil {
			return nil
		}
		return func(b []byte, value *T) []byte {
			if got := get(value); got != nil {
				return encode(b, got)
			}
			return append(b, "null"...)
		}
	}
}

// listField encodes a list of objects.
func listField[T, U any, P ~*U](of *objectEncoder[U], get func(*T) []P) fieldEncoder[T] {
	return func(p *encoding, selections ast.SelectionSet) appendFunc[T] {
		encode := of.prepare(p, selections)
		if encode == nil {
			return nil
		}
		return func(b []byte, value *T) []byte {
			b = append(b, '[')
			for i, element := range get(value) {
				if i > 0 {
					b = append(b, ',')
				}
				if len(b)-p.counted > admission.MeterStep {
					p.count(len(b))
				}
				if p.err != nil {
					break
				}
				b = encode(b, (*U)(element))
			}
			return append(b, ']')
		}
	}
}

// connectionEncoder returns the encoder of a page of objects.
func connectionEncoder[T any, R interface {
	*T
	model.Node
}](node *objectEncoder[T]) *objectEncoder[model.Connection[R]] {
	edge := &objectEncoder[model.Edge[R]]{node.name + "Edge", map[string]fieldEncoder[model.Edge[R]]{
		"node":   objectField(node, func(e *model.Edge[R]) *T { return e.Node }),
		"cursor": scalarField(func(b []byte, e *model.Edge[R]) []byte { return model.AppendString(b, e.Cursor()) }),
	}}
	return &objectEncoder[model.Connection[R]]{node.name + "Connection", map[string]fieldEncoder[model.Connection[R]]{
		"nodes":      listField(node, (*model.Connection[R]).Nodes),
		"edges":      listField(edge, (*model.Connection[R]).Edges),
		"pageInfo":   objectField(pageInfoEncoder, (*model.Connection[R]).PageInfo),
		"totalCount": scalarField(func(b []byte, c *model.Connection[R]) []byte { return strconv.AppendInt(b, int64(c.TotalCount), 10) }),
	}}
}

var (
	linkConnectionEncoder      = connectionEncoder(linkEncoder)
	portfolioConnectionEncoder = connectionEncoder(portfolioEncoder)
)

var pageInfoEncoder = &objectEncoder[model.PageInfo]{"PageInfo", map[string]fieldEncoder[model.PageInfo]{
	"hasNextPage":     scalarField(func(b []byte, i *model.PageInfo) []byte { return strconv.AppendBool(b, i.HasNextPage) }),
	"hasPreviousPage": scalarField(func(b []byte, i *model.PageInfo) []byte { return strconv.AppendBool(b, i.HasPreviousPage) }),
	"startCursor":     scalarField(func(b []byte, i *model.PageInfo) []byte { return appendNullable(b, i.StartCursor) }),
	"endCursor":       scalarField(func(b []byte, i *model.PageInfo) []byte { return appendNullable(b, i.EndCursor) }),
}}

// portfolioEncoder has no links: they are not read with the portfolio.
var portfolioEncoder = &objectEncoder[db.Portfolio]{"Portfolio", map[string]fieldEncoder[db.Portfolio]{
	"id":        scalarField(func(b []byte, p *db.Portfolio) []byte { return appendID(b, p.ID) }),
	"name":      scalarField(func(b []byte, p *db.Portfolio) []byte { return model.AppendString(b, p.Name) }),
	"createdAt": scalarField(func(b []byte, p *db.Portfolio) []byte { return appendTime(b, p.CreatedAt.Time) }),
	"updatedAt": scalarField(func(b []byte, p *db.Portfolio) []byte { return appendTime(b, p.UpdatedAt.Time) }),
}}

// linkEncoder has no portfolio, for the same reason.
var linkEncoder = &objectEncoder[db.PortfolioLink]{"PortfolioLink", map[string]fieldEncoder[db.PortfolioLink]{
	"id":          scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendID(b, l.ID) }),
	"name":        scalarField(func(b []byte, l *db.PortfolioLink) []byte { return model.AppendString(b, l.Name) }),
	"url":         scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendNullable(b, l.URL) }),
	"description": scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendNullable(b, l.Description) }),
	"createdAt":   scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendTime(b, l.CreatedAt.Time) }),
	"updatedAt":   scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendTime(b, l.UpdatedAt.Time) }),
	"imageData":   objectField(imageEncoder, func(l *db.PortfolioLink) *db.Image { return l.ImageData }),
}}

var imageEncoder = &objectEncoder[db.Image]{"Image", map[string]fieldEncoder[db.Image]{
	"id":                scalarField(func(b []byte, i *db.Image) []byte { return appendID(b, i.ID) }),
	"type":              scalarField(func(b []byte, i *db.Image) []byte { return model.AppendString(b, i.Type) }),
	"name":              scalarField(func(b []byte, i *db.Image) []byte { return model.AppendString(b, i.Name) }),
	"size":              scalarField(func(b []byte, i *db.Image) []byte { return strconv.AppendInt(b, i.Size, 10) }),
	"humanReadableSize": scalarField(func(b []byte, i *db.Image) []byte { return appendHumanSize(b, i.Size) }),
	"url":               urlField(func(i *db.Image) db.FileKey { return i.Path }),
	"width":             scalarField(func(b []byte, i *db.Image) []byte { return appendInt(b, i.Width) }),
	"height":            scalarField(func(b []byte, i *db.Image) []byte { return appendInt(b, i.Height) }),
	"mode":              scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.Mode) }),
	"mimeType":          scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.MimeType) }),
	"placeholder":       scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.Placeholder) }),
	"srcset": func(p *encoding, _ ast.SelectionSet) appendFunc[db.Image] {
		return func(b []byte, i *db.Image) []byte { return model.AppendSrcset(b, p.baseURL, i.Srcset()) }
	},
	"thumbnails": listField(thumbnailEncoder, func(i *db.Image) []*db.Thumbnail { return i.Thumbnails }),
}}

var thumbnailEncoder = &objectEncoder[db.Thumbnail]{"Thumbnail", map[string]fieldEncoder[db.Thumbnail]{
	"id":       scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendID(b, t.ID) }),
	"url":      urlField(func(t *db.Thumbnail) db.FileKey { return t.Path }),
	"size":     scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Size) }),
	"width":    scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Width) }),
	"height":   scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Height) }),
	"fileSize": scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.FileSize) }),
}}

func appendID(b []byte, id int64) []byte {
	return append(strconv.AppendInt(append(b, '"'), id, 10), '"')
}

func appendInt[T int | int64](b []byte, i *T) []byte { return jsonenc.AppendInt(b, i) }

func appendTime(b []byte, t time.Time) []byte {
	return append(jsonenc.AppendTime(append(b, '"'), t), '"')
}

func appendHumanSize(b []byte, bytes int64) []byte {
	return append(jsonenc.AppendHumanSize(append(b, '"'), bytes), '"')
}

func appendNullable(b []byte, s *string) []byte {
	return jsonenc.AppendNullable(b, s, model.AppendString)
}
