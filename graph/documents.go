package graph

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"portfolio/internal/admission"
	"slices"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
	"github.com/vektah/gqlparser/v2/parser"
	"github.com/vektah/gqlparser/v2/validator"
	"github.com/vektah/gqlparser/v2/validator/rules"
)

// document is a query text that was parsed, counted and found valid.
type document struct {
	*ast.QueryDocument
	text        string
	introspects bool
	personal    bool  // its answer may depend on the viewer
	bytes       int64 // of memory, about
}

type textHash [sha256.Size]byte

const (
	minDocument  = 1 << 10 // bytes of memory for one
	maxDocument  = 2 << 20 // bytes of memory for one that is kept
	bytesPerByte = 80      // of memory for a byte of text: "id id id", the worst that was measured
)

// documents keeps what was parsed, by the hash of its text: the operator's
// persisted documents for good, and of those that clients send the last used.
type documents struct {
	schema        *ast.Schema
	limits        Limits
	suggesting    *rules.Rules
	plain         *rules.Rules
	onlyPersisted bool
	named         map[string]*document // persisted, by their ids
	persisted     map[textHash]*document

	budget *admission.Budget // of the documents that clients sent
	mu     sync.Mutex
	sent   *simplelru.LRU[textHash, *document]
}

// newDocuments parses the persisted documents and fails on one that is not
// valid.
func newDocuments(schema *ast.Schema, options Options) (*documents, error) {
	d := &documents{
		schema:        schema,
		limits:        options.Limits,
		suggesting:    rules.NewDefaultRules(),
		plain:         withoutSuggestions(),
		onlyPersisted: options.OnlyPersisted,
		named:         make(map[string]*document, len(options.Persisted)),
		persisted:     make(map[textHash]*document, len(options.Persisted)),
		budget:        options.Admission.Documents,
	}
	d.sent, _ = simplelru.NewLRU(math.MaxInt, func(_ textHash, evicted *document) { d.budget.Give(evicted.bytes) }) // the error is of a size below 1
	for id, text := range options.Persisted {
		parsed, errs := d.parse(text, nil)
		if errs != nil {
			return nil, fmt.Errorf("persisted document %s: %s", id, errs[0].Message)
		}
		d.named[id], d.persisted[sha256.Sum256([]byte(text))] = parsed, parsed
	}
	return d, nil
}

// withoutSuggestions are the rules of validation without "Did you mean", which
// gives the schema away name by name.
func withoutSuggestions() *rules.Rules {
	set := rules.NewDefaultRules()
	for suggesting, plain := range map[string]validator.Rule{
		rules.FieldsOnCorrectTypeRule.Name: rules.FieldsOnCorrectTypeRuleWithoutSuggestions,
		rules.KnownArgumentNamesRule.Name:  rules.KnownArgumentNamesRuleWithoutSuggestions,
		rules.KnownTypeNamesRule.Name:      rules.KnownTypeNamesRuleWithoutSuggestions,
		rules.ScalarLeafsRule.Name:         rules.ScalarLeafsRuleWithoutSuggestions,
		rules.ValuesOfCorrectTypeRule.Name: rules.ValuesOfCorrectTypeRuleWithoutSuggestions,
	} {
		set.ReplaceRule(suggesting, plain.RuleFunc)
	}
	return set
}

var (
	errNotPersisted  = coded(&gqlerror.Error{}, CodePersistedQueryNotFound, "PersistedQueryNotFound") // as Apollo's clients want it
	errOnlyPersisted = coded(&gqlerror.Error{}, CodeForbidden, "Only persisted documents are answered.")
)

// find is the document that the request names or holds. A viewer who must not
// see the schema has a refusal: it answers introspection, and there are no
// suggestions.
func (d *documents) find(params *params, refusal *gqlerror.Error) (*document, gqlerror.List) {
	found, errs := d.lookUp(params, refusal)
	if errs == nil && found.introspects && refusal != nil {
		return nil, gqlerror.List{refusal}
	}
	return found, errs
}

func (d *documents) lookUp(params *params, refusal *gqlerror.Error) (*document, gqlerror.List) {
	if len(params.Query) > d.limits.Bytes {
		return nil, gqlerror.List{exceeded("bytes", d.limits.Bytes)}
	}
	if params.Query == "" && params.documentID != "" {
		if found := d.named[params.documentID]; found != nil {
			return found, nil
		}
		return nil, gqlerror.List{errNotPersisted}
	}
	hash := params.hash
	if params.Query != "" {
		hash = sha256.Sum256([]byte(params.Query))
	}
	if found := d.cached(hash); found != nil {
		params.Query = found.text
		return found, nil
	}
	switch {
	case params.Query == "":
		return nil, gqlerror.List{errNotPersisted}
	case d.onlyPersisted:
		return nil, gqlerror.List{errOnlyPersisted}
	}
	parsed, errs := d.parse(params.Query, refusal)
	if errs == nil {
		d.keep(hash, parsed)
	}
	return parsed, errs
}

func (d *documents) cached(hash textHash) *document {
	if found := d.persisted[hash]; found != nil || d.onlyPersisted {
		return found
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	found, _ := d.sent.Get(hash)
	return found
}

func (d *documents) keep(hash textHash, parsed *document) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if parsed.bytes > maxDocument || d.sent.Contains(hash) { // another request was first
		return
	}
	for !d.budget.Take(parsed.bytes) {
		if _, _, ok := d.sent.RemoveOldest(); !ok {
			return
		}
	}
	d.sent.Add(hash, parsed)
}

func (d *documents) parse(text string, refusal *gqlerror.Error) (*document, gqlerror.List) {
	query, err := parser.ParseQueryWithTokenLimit(&ast.Source{Input: text}, d.limits.Tokens)
	if failure, ok := errors.AsType[*gqlerror.Error](err); ok {
		return nil, gqlerror.List{coded(failure, CodeBadUserInput, failure.Message)}
	}
	if len(query.Operations) == 0 {
		return nil, gqlerror.List{badRequest("The document has no operation.")}
	}
	introspections, failure := d.limits.count(query)
	if failure != nil {
		return nil, gqlerror.List{failure}
	}
	rules := d.suggesting
	if refusal != nil {
		if introspections > 0 {
			return nil, gqlerror.List{refusal}
		}
		rules = d.plain
	}
	if errs := validator.ValidateWithRules(d.schema, query, rules); errs != nil {
		errs = errs[:min(len(errs), maxErrors)]
		for i, err := range errs {
			errs[i] = coded(err, CodeBadUserInput, err.Message)
		}
		return nil, errs
	}
	return &document{
		QueryDocument: query,
		text:          text,
		introspects:   introspections > 0,
		personal:      isPersonal(query),
		bytes:         minDocument + int64(len(text))*bytesPerByte,
	}, nil
}

// isPersonal reports whether the document asks for the viewer, or for a field
// that is guarded.
func isPersonal(query *ast.QueryDocument) bool {
	var personal func(ast.SelectionSet) bool
	personal = func(set ast.SelectionSet) bool {
		return slices.ContainsFunc(set, func(selection ast.Selection) bool {
			switch selection := selection.(type) {
			case *ast.Field:
				return selection.Definition.Type.Name() == "Viewer" ||
					selection.Definition.Directives.ForName("requires") != nil ||
					personal(selection.SelectionSet)
			case *ast.InlineFragment:
				return personal(selection.SelectionSet)
			}
			return false // fragments are looked at below
		})
	}
	return slices.ContainsFunc(query.Operations, func(o *ast.OperationDefinition) bool { return personal(o.SelectionSet) }) ||
		slices.ContainsFunc(query.Fragments, func(f *ast.FragmentDefinition) bool { return personal(f.SelectionSet) })
}

type documentKey struct{}

// fromContext gives gqlgen's executor the document that was found: it neither
// parses nor validates.
type fromContext struct{}

func (fromContext) Get(ctx context.Context, _ string) (*ast.QueryDocument, bool) {
	found, ok := ctx.Value(documentKey{}).(*document)
	if !ok {
		return nil, false
	}
	return found.QueryDocument, true
}

func (fromContext) Add(context.Context, string, *ast.QueryDocument) {}

// ReadDocuments reads the texts of persisted documents by their ids: from a
// manifest as graphql-codegen, Relay or Apollo writes it, from a .graphql
// file, the id of which is "sha256:" and the hash of its text, or from each of
// these in a folder.
func ReadDocuments(path string) (map[string]string, error) {
	texts := map[string]string{}
	folder := os.DirFS(filepath.Dir(path))
	err := fs.WalkDir(folder, filepath.Base(path), func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(folder, name)
		if err != nil {
			return err
		}
		switch filepath.Ext(name) {
		case ".json":
			if err := readManifest(content, texts); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		case ".graphql", ".gql":
			hash := sha256.Sum256(content)
			texts["sha256:"+hex.EncodeToString(hash[:])] = string(content)
		}
		return nil
	})
	if err == nil && len(texts) == 0 {
		err = fmt.Errorf("%s: there are no documents", path)
	}
	return texts, err
}

// readManifest reads {"id": "text"}, or Apollo's list of operations.
func readManifest(content []byte, texts map[string]string) error {
	var apollo struct {
		Format     string
		Operations []struct{ ID, Body string }
	}
	if json.Unmarshal(content, &apollo) == nil && apollo.Format == "apollo-persisted-query-manifest" {
		for _, operation := range apollo.Operations {
			texts[operation.ID] = operation.Body
		}
		return nil
	}
	if err := json.Unmarshal(content, &texts); err != nil {
		return errors.New("not a manifest of persisted documents: want a JSON object of texts by id")
	}
	return nil
}
