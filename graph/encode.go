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
	"portfolio/internal/auth"
	"portfolio/internal/jsonenc"
	"portfolio/internal/storage"
)

// gqlgen gives each field a context, a field context and a closure, and each
// element of a list a goroutine. Complete rows need none of these: encodeResult
// encodes them directly, three to ten times faster.

// encodeResult returns the result of a resolver. If its selections need no further resolver, it
// returns a Marshaler with the encoded result. The error comes from the meter.
func encodeResult(ctx context.Context, result any) (any, error) {
	switch value := result.(type) {
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
	case *model.ImageConnection:
		return encodeObject(ctx, imageConnectionEncoder, value)
	case *model.UserConnection:
		return encodeObject(ctx, userConnectionEncoder, value)
	case *model.TokenConnection:
		return encodeObject(ctx, tokenConnectionEncoder, value)
	}
	return validText(result), admission.MeterFrom(ctx).AddEncoded(ctx, sizeOf(ctx, result))
}

// validText returns a result whose text is valid UTF-8. gqlgen does not check texts.
func validText(result any) any {
	switch value := result.(type) {
	case string:
		if valid := model.ValidText(value); valid != value {
			return valid
		}
	case *string:
		if value != nil {
			if valid := model.ValidText(*value); valid != *value {
				return &valid
			}
		}
	}
	return result
}

// sizeOf estimates the bytes that gqlgen encodes for a field.
func sizeOf(ctx context.Context, result any) int {
	size := len(graphql.GetFieldContext(ctx).Field.Alias) + 20
	switch value := result.(type) {
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

// encodeObject returns the encoded value, or value itself if a selection needs a resolver. The
// error comes from the meter.
func encodeObject[T any](ctx context.Context, object *objectEncoder[T], value *T) (any, error) {
	if value == nil {
		return value, nil
	}
	e := encoding{ctx: ctx, operation: graphql.GetOperationContext(ctx), baseURL: storage.BaseURL(ctx), meter: admission.MeterFrom(ctx)}
	encode := object.prepare(&e, graphql.GetFieldContext(ctx).Field.Selections)
	if encode == nil {
		return value, nil
	}
	buffer := buffers.Get().(*[]byte)
	*buffer = encode((*buffer)[:0], value)
	e.count(len(*buffer))
	return rawJSON{buffer}, e.err
}

var buffers = sync.Pool{New: func() any { return new([]byte) }}

// maxPooled is the maximum size of a pooled buffer in bytes.
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
	counted   int // bytes that the meter has counted
	err       error
}

// count adds the bytes encoded since the last call to the meter.
func (e *encoding) count(length int) {
	if e.err == nil {
		e.err = e.meter.AddEncoded(e.ctx, length-e.counted)
		e.counted = length
	}
}

// appendFunc appends a value as JSON.
type appendFunc[T any] func(b []byte, value *T) []byte

// fieldEncoder returns the function that appends a field with the given
// selections, or nil if they need a resolver.
type fieldEncoder[T any] func(e *encoding, selections ast.SelectionSet) appendFunc[T]

// objectEncoder encodes an object type. It has encoders for the fields whose values are in the row.
type objectEncoder[T any] struct {
	name      string
	fields    map[string]fieldEncoder[T]
	satisfies []string // the type and its interfaces
}

func newObject[T any](name string, fields map[string]fieldEncoder[T]) *objectEncoder[T] {
	return &objectEncoder[T]{name, fields, []string{name}}
}

// newNode returns the encoder of a type that implements Node.
func newNode[T any, P interface {
	*T
	db.Node
}](name string, fields map[string]fieldEncoder[T]) *objectEncoder[T] {
	fields["nodeId"] = scalarField(func(b []byte, value *T) []byte { return model.AppendNodeID(b, P(value).NodeID()) })
	return &objectEncoder[T]{name, fields, []string{name, "Node"}}
}

// prepare returns the function that appends an object with the given selections,
// or nil if they need a resolver.
func (o *objectEncoder[T]) prepare(e *encoding, selections ast.SelectionSet) appendFunc[T] {
	type step struct {
		alias  string
		encode appendFunc[T]
	}
	collected := graphql.CollectFields(e.operation, selections, o.satisfies)
	steps := make([]step, len(collected))
	for i, field := range collected {
		steps[i].alias = field.Alias
		if field.Name == "__typename" {
			steps[i].encode = func(b []byte, _ *T) []byte { return model.AppendString(b, o.name) }
			continue
		}
		newField, ok := o.fields[field.Name]
		if _, needsPermission := requiredPermission(field.Definition); needsPermission || !ok {
			return nil
		}
		if steps[i].encode = newField(e, field.Selections); steps[i].encode == nil {
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
	return func(e *encoding, _ ast.SelectionSet) appendFunc[T] {
		return func(b []byte, value *T) []byte {
			return model.AppendString(b, storage.URL(e.baseURL, string(path(value))))
		}
	}
}

// objectField encodes an object or null.
func objectField[T, U any](object *objectEncoder[U], get func(*T) *U) fieldEncoder[T] {
	return func(e *encoding, selections ast.SelectionSet) appendFunc[T] {
		encode := object.prepare(e, selections)
		if encode == nil {
			return nil
		}
		return func(b []byte, value *T) []byte {
			if field := get(value); field != nil {
				return encode(b, field)
			}
			return append(b, "null"...)
		}
	}
}

// listField encodes a list of objects.
func listField[T, U any, P ~*U](object *objectEncoder[U], get func(*T) []P) fieldEncoder[T] {
	return func(e *encoding, selections ast.SelectionSet) appendFunc[T] {
		encode := object.prepare(e, selections)
		if encode == nil {
			return nil
		}
		return func(b []byte, value *T) []byte {
			b = append(b, '[')
			for i, element := range get(value) {
				if i > 0 {
					b = append(b, ',')
				}
				if len(b)-e.counted > admission.MeterStep {
					e.count(len(b))
				}
				if e.err != nil {
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
	model.Row
}](node *objectEncoder[T]) *objectEncoder[model.Connection[R]] {
	edge := newObject(node.name+"Edge", map[string]fieldEncoder[model.Edge[R]]{
		"node":   objectField(node, func(e *model.Edge[R]) *T { return e.Node }),
		"cursor": scalarField(func(b []byte, e *model.Edge[R]) []byte { return model.AppendString(b, e.Cursor()) }),
	})
	return newObject(node.name+"Connection", map[string]fieldEncoder[model.Connection[R]]{
		"nodes":      listField(node, (*model.Connection[R]).Nodes),
		"edges":      listField(edge, (*model.Connection[R]).Edges),
		"pageInfo":   objectField(pageInfoEncoder, (*model.Connection[R]).PageInfo),
		"totalCount": scalarField(func(b []byte, c *model.Connection[R]) []byte { return strconv.AppendInt(b, int64(c.TotalCount), 10) }),
	})
}

var (
	linkConnectionEncoder      = connectionEncoder(linkEncoder)
	portfolioConnectionEncoder = connectionEncoder(portfolioEncoder)
	imageConnectionEncoder     = connectionEncoder(imageEncoder)
	userConnectionEncoder      = connectionEncoder(userEncoder)
	tokenConnectionEncoder     = connectionEncoder(tokenEncoder)
)

var pageInfoEncoder = newObject("PageInfo", map[string]fieldEncoder[model.PageInfo]{
	"hasNextPage":     scalarField(func(b []byte, i *model.PageInfo) []byte { return strconv.AppendBool(b, i.HasNextPage) }),
	"hasPreviousPage": scalarField(func(b []byte, i *model.PageInfo) []byte { return strconv.AppendBool(b, i.HasPreviousPage) }),
	"startCursor":     scalarField(func(b []byte, i *model.PageInfo) []byte { return appendNullable(b, i.StartCursor) }),
	"endCursor":       scalarField(func(b []byte, i *model.PageInfo) []byte { return appendNullable(b, i.EndCursor) }),
})

// portfolioEncoder has no links: statements read them separately.
var portfolioEncoder = newNode("Portfolio", map[string]fieldEncoder[db.Portfolio]{
	"id":        scalarField(func(b []byte, p *db.Portfolio) []byte { return appendID(b, p.ID) }),
	"name":      scalarField(func(b []byte, p *db.Portfolio) []byte { return model.AppendString(b, p.Name) }),
	"createdAt": scalarField(func(b []byte, p *db.Portfolio) []byte { return appendTime(b, p.CreatedAt.Time) }),
	"updatedAt": scalarField(func(b []byte, p *db.Portfolio) []byte { return appendTime(b, p.UpdatedAt.Time) }),
})

// linkEncoder has no portfolio and no adjacent links: statements read them separately.
var linkEncoder = newNode("PortfolioLink", map[string]fieldEncoder[db.PortfolioLink]{
	"id":          scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendID(b, l.ID) }),
	"name":        scalarField(func(b []byte, l *db.PortfolioLink) []byte { return model.AppendString(b, l.Name) }),
	"url":         scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendNullable(b, l.URL) }),
	"description": scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendNullable(b, l.Description) }),
	"position":    scalarField(func(b []byte, l *db.PortfolioLink) []byte { return strconv.AppendFloat(b, l.Position(), 'g', -1, 64) }),
	"createdAt":   scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendTime(b, l.CreatedAt.Time) }),
	"updatedAt":   scalarField(func(b []byte, l *db.PortfolioLink) []byte { return appendTime(b, l.UpdatedAt.Time) }),
	"imageData":   objectField(imageEncoder, func(l *db.PortfolioLink) *db.Image { return l.ImageData }),
})

// imageEncoder has no links: statements read them separately.
var imageEncoder = newNode("Image", map[string]fieldEncoder[db.Image]{
	"id":                scalarField(func(b []byte, i *db.Image) []byte { return appendID(b, i.ID) }),
	"type":              scalarField(func(b []byte, i *db.Image) []byte { return model.AppendString(b, i.Type) }),
	"name":              scalarField(func(b []byte, i *db.Image) []byte { return model.AppendString(b, i.Name) }),
	"alt":               scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.Alt) }),
	"createdAt":         scalarField(func(b []byte, i *db.Image) []byte { return appendTime(b, i.CreatedAt.Time) }),
	"size":              scalarField(func(b []byte, i *db.Image) []byte { return strconv.AppendInt(b, i.Size, 10) }),
	"humanReadableSize": scalarField(func(b []byte, i *db.Image) []byte { return appendHumanSize(b, i.Size) }),
	"url":               urlField(func(i *db.Image) db.FileKey { return i.Path }),
	"width":             scalarField(func(b []byte, i *db.Image) []byte { return appendInt(b, i.Width) }),
	"height":            scalarField(func(b []byte, i *db.Image) []byte { return appendInt(b, i.Height) }),
	"mode":              scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.Mode) }),
	"mimeType":          scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.MimeType) }),
	"placeholder":       scalarField(func(b []byte, i *db.Image) []byte { return appendNullable(b, i.Placeholder) }),
	"srcset": func(e *encoding, _ ast.SelectionSet) appendFunc[db.Image] {
		return func(b []byte, i *db.Image) []byte { return model.AppendSrcset(b, e.baseURL, i.Srcset()) }
	},
	"thumbnails": listField(thumbnailEncoder, func(i *db.Image) []*db.Thumbnail { return i.Thumbnails }),
})

var thumbnailEncoder = newNode("Thumbnail", map[string]fieldEncoder[db.Thumbnail]{
	"id":       scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendID(b, t.ID) }),
	"url":      urlField(func(t *db.Thumbnail) db.FileKey { return t.Path }),
	"size":     scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Size) }),
	"width":    scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Width) }),
	"height":   scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.Height) }),
	"fileSize": scalarField(func(b []byte, t *db.Thumbnail) []byte { return appendInt(b, t.FileSize) }),
})

var userEncoder = newNode("User", map[string]fieldEncoder[db.User]{
	"id":          scalarField(func(b []byte, u *db.User) []byte { return appendID(b, u.ID) }),
	"username":    scalarField(func(b []byte, u *db.User) []byte { return model.AppendString(b, u.Username) }),
	"isActive":    scalarField(func(b []byte, u *db.User) []byte { return strconv.AppendBool(b, u.IsActive) }),
	"isStaff":     scalarField(func(b []byte, u *db.User) []byte { return strconv.AppendBool(b, u.IsStaff) }),
	"isAdmin":     scalarField(func(b []byte, u *db.User) []byte { return strconv.AppendBool(b, u.IsAdmin) }),
	"permissions": scalarField(func(b []byte, u *db.User) []byte { return appendPermissions(b, auth.Permissions(u)) }),
	"createdAt":   scalarField(func(b []byte, u *db.User) []byte { return appendTime(b, u.CreatedAt.Time) }),
})

var tokenEncoder = newNode("Token", map[string]fieldEncoder[db.Token]{
	"id":        scalarField(func(b []byte, t *db.Token) []byte { return appendID(b, t.ID) }),
	"username":  scalarField(func(b []byte, t *db.Token) []byte { return model.AppendString(b, t.Username()) }),
	"label":     scalarField(func(b []byte, t *db.Token) []byte { return appendNullable(b, t.Label) }),
	"createdAt": scalarField(func(b []byte, t *db.Token) []byte { return appendTime(b, t.CreatedAt.Time) }),
	"expiresAt": scalarField(func(b []byte, t *db.Token) []byte {
		if t.ExpiresAt == nil {
			return append(b, "null"...)
		}
		return appendTime(b, t.ExpiresAt.Time)
	}),
})

func appendPermissions(b []byte, permissions []auth.Permission) []byte {
	b = append(b, '[')
	for i, permission := range permissions {
		if i > 0 {
			b = append(b, ',')
		}
		b = model.AppendString(b, string(permission))
	}
	return append(b, ']')
}

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
