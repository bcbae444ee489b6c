// Package document parses, validates and caches GraphQL documents, coerces their
// variables, and limits their size and cost.
package document

import (
	"crypto/sha256"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"

	"portfolio/internal/admission"
	"portfolio/internal/apierror"
)

// Document is a parsed query text that is valid and within the limits.
type Document struct {
	*ast.QueryDocument
	Text            string
	Introspects     bool
	DependsOnViewer bool  // whether the response may depend on the viewer
	memory          int64 // estimated bytes
}

// Hash is the SHA-256 hash of the text of a document.
type Hash [sha256.Size]byte

// Request names a document: by its text, by the ID of a persisted document, or by its hash.
type Request struct {
	Text string
	ID   string
	Hash Hash
}

const (
	entryOverhead = 1 << 10 // bytes of memory
	memoryFactor  = 80      // bytes of memory for each byte of text; the worst case is "id id id"
	maxCached     = 2 << 20 // bytes of memory of one document
)

// Options configure a Cache.
type Options struct {
	Limits        Limits
	Introspection Introspection
	Persisted     map[string]string // texts by ID
	OnlyPersisted bool
	Budget        *admission.Budget                                 // of the memory of cached documents
	CheckScalar   func(name string, value any) *apierror.InputError // of IDs and the schema's own scalars
}

// Cache holds parsed documents by the hash of their text: all persisted documents, and the most
// recently used documents of clients.
type Cache struct {
	Schema  *ast.Schema
	options Options

	rules                   *rules.Rules
	rulesWithoutSuggestions *rules.Rules

	persistedByID map[string]*Document
	persisted     map[Hash]*Document

	mu           sync.Mutex
	sent         *simplelru.LRU[Hash, *Document]
	hits, misses atomic.Int64
}

// NewCache parses the persisted documents. It returns an error if one of them
// is not valid.
func NewCache(schema *ast.Schema, options Options) (*Cache, error) {
	c := &Cache{
		Schema:                  schema,
		options:                 options,
		rules:                   newRules(options.CheckScalar),
		rulesWithoutSuggestions: withoutSuggestions(newRules(options.CheckScalar)),
		persistedByID:           make(map[string]*Document, len(options.Persisted)),
		persisted:               make(map[Hash]*Document, len(options.Persisted)),
	}
	c.sent, _ = simplelru.NewLRU(math.MaxInt, func(_ Hash, evicted *Document) { options.Budget.Release(evicted.memory) }) // fails only for a size below 1
	for id, text := range options.Persisted {
		parsed, errs := c.parse(text, nil)
		if errs != nil {
			return nil, fmt.Errorf("persisted document %s: %s", id, errs[0].Message)
		}
		c.persistedByID[id], c.persisted[sha256.Sum256([]byte(text))] = parsed, parsed
	}
	return c, nil
}

var (
	errNotPersisted  = apierror.New(apierror.PersistedQueryNotFound, "PersistedQueryNotFound") // Apollo's clients expect this message
	errOnlyPersisted = apierror.New(apierror.Forbidden, "Only persisted documents are accepted.")
)

// Resolve returns the document that a request names. A client that may not
// query the schema gets neither introspection nor suggestions.
func (c *Cache) Resolve(request Request, authenticated bool) (*Document, gqlerror.List) {
	introspectionErr := c.options.Introspection.check(authenticated)
	document, errs := c.lookup(request, introspectionErr)
	if errs == nil && document.Introspects && introspectionErr != nil {
		return nil, gqlerror.List{introspectionErr}
	}
	return document, errs
}

// lookup returns the document of a request from the cache, or parses it.
func (c *Cache) lookup(request Request, introspectionErr *gqlerror.Error) (*Document, gqlerror.List) {
	if len(request.Text) > c.options.Limits.Bytes {
		return nil, gqlerror.List{limitError("bytes", c.options.Limits.Bytes)}
	}
	if request.Text == "" && request.ID != "" {
		if document := c.persistedByID[request.ID]; document != nil {
			c.hits.Add(1)
			return document, nil
		}
		return nil, gqlerror.List{errNotPersisted}
	}
	hash := request.Hash
	if request.Text != "" {
		hash = sha256.Sum256([]byte(request.Text))
	}
	if document := c.get(hash); document != nil {
		c.hits.Add(1)
		return document, nil
	}
	c.misses.Add(1)
	switch {
	case request.Text == "":
		return nil, gqlerror.List{errNotPersisted}
	case c.options.OnlyPersisted:
		return nil, gqlerror.List{errOnlyPersisted}
	}
	parsed, errs := c.parse(request.Text, introspectionErr)
	if errs == nil {
		c.add(hash, parsed)
	}
	return parsed, errs
}

// Stats is the state of a Cache.
type Stats struct {
	Documents    int   // cached documents that clients have sent
	Hits, Misses int64 // since the start
}

// Stats returns the state of the cache.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{c.sent.Len(), c.hits.Load(), c.misses.Load()}
}

// Operations returns the names of the operations in persisted documents.
func (c *Cache) Operations() (names []string) {
	for _, document := range c.persistedByID {
		for _, operation := range document.Operations {
			names = append(names, operation.Name)
		}
	}
	return names
}

func (c *Cache) get(hash Hash) *Document {
	if document := c.persisted[hash]; document != nil || c.options.OnlyPersisted {
		return document
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	document, _ := c.sent.Get(hash)
	return document
}

// add caches a document. If the budget is used up, it removes the least recently used documents.
func (c *Cache) add(hash Hash, parsed *Document) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if parsed.memory > maxCached {
		return
	}
	if c.sent.Contains(hash) { // another request added it
		return
	}
	for !c.options.Budget.Reserve(parsed.memory) {
		if _, _, ok := c.sent.RemoveOldest(); !ok {
			return
		}
	}
	c.sent.Add(hash, parsed)
}

// parse checks the limits before validation, whose rules take quadratic time.
func (c *Cache) parse(text string, introspectionErr *gqlerror.Error) (*Document, gqlerror.List) {
	query, source, syntaxErr := parseQuery(text, c.options.Limits.Tokens)
	if syntaxErr != nil {
		return nil, gqlerror.List{syntaxErr}
	}
	if len(query.Operations) == 0 {
		return nil, gqlerror.List{apierror.BadInput("The document has no operation.")}
	}
	introspections, limitErr := c.options.Limits.check(query)
	if limitErr != nil {
		return nil, gqlerror.List{limitErr}
	}
	ruleset := c.rules
	if introspectionErr != nil {
		if introspections > 0 {
			return nil, gqlerror.List{introspectionErr}
		}
		ruleset = c.rulesWithoutSuggestions
	}
	if errs := validator.ValidateWithRules(c.Schema, query, ruleset); errs != nil {
		errs = source.correctErrors(errs)
		for i, err := range errs {
			if err.Extensions == nil { // not reported by scalarRule
				errs[i] = apierror.Wrap(err, apierror.BadUserInput, err.Message)
			}
		}
		return nil, apierror.Limit(errs, apierror.MaxRequestErrors)
	}
	if len(query.Operations) > 1 {
		forgetDefaults(query)
	}
	return &Document{
		QueryDocument:   query,
		Text:            text,
		Introspects:     introspections > 0,
		DependsOnViewer: dependsOnViewer(query),
		memory:          entryOverhead + int64(len(text))*memoryFactor,
	}, nil
}

// IsPublic reports whether the response is the same for every client.
func (c *Cache) IsPublic(d *Document) bool {
	return !d.DependsOnViewer && (!d.Introspects || c.options.Introspection != IntrospectionAuthenticated)
}

// dependsOnViewer reports whether the document selects more than the schema, which is the same for
// all viewers.
func dependsOnViewer(query *ast.QueryDocument) bool {
	var depends func(ast.SelectionSet) bool
	depends = func(set ast.SelectionSet) bool {
		return slices.ContainsFunc(set, func(selection ast.Selection) bool {
			switch selection := selection.(type) {
			case *ast.Field:
				return !strings.HasPrefix(selection.Name, "__") && !strings.HasPrefix(selection.ObjectDefinition.Name, "__")
			case *ast.InlineFragment:
				return depends(selection.SelectionSet)
			}
			return false // all fragments are searched below
		})
	}
	return slices.ContainsFunc(query.Operations, func(o *ast.OperationDefinition) bool { return depends(o.SelectionSet) }) ||
		slices.ContainsFunc(query.Fragments, func(f *ast.FragmentDefinition) bool { return depends(f.SelectionSet) })
}
