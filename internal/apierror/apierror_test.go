package apierror

import (
	"math/rand/v2"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/vektah/gqlparser/v2/ast"
	"github.com/vektah/gqlparser/v2/gqlerror"
)

// TestLimit_DependsOnPathsOnly checks that the order of errors does not decide which ones are
// left out, whatever elements their paths have.
func TestLimit_DependsOnPathsOnly(t *testing.T) {
	t.Parallel()
	var errs gqlerror.List
	for _, path := range []ast.Path{
		nil,
		{ast.PathName("a"), ast.PathIndex(5)}, {ast.PathName("a"), ast.PathName("x")}, {ast.PathName("a"), ast.PathIndex(10)},
		{ast.PathName("b")}, {ast.PathName("b"), ast.PathName("c")}, {ast.PathName("a")},
	} {
		errs = append(errs, Wrap(&gqlerror.Error{Path: path}, Internal, path.String()))
	}
	want := Limit(errs, 4)
	if last := want[len(want)-1].Message; len(want) != 4 || last != "4 more errors are left out." {
		t.Fatalf("got %d errors, the last one %q, want 4 and the number of those left out", len(want), last)
	}
	random := rand.New(rand.NewPCG(1, 1))
	for range 100 {
		random.Shuffle(len(errs), func(i, j int) { errs[i], errs[j] = errs[j], errs[i] })
		if diff := cmp.Diff(want, Limit(errs, 4)); diff != "" {
			t.Fatalf("-want +got:\n%s", diff)
		}
	}
}
