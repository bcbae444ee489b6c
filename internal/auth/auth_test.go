package auth

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
)

// TestAllowed_RequiresStaffForCodes checks the permissions of each kind of user.
func TestAllowed_RequiresStaffForCodes(t *testing.T) {
	both, link, none := []Permission{PermissionPortfolioLink, PermissionAdmin}, []Permission{PermissionPortfolioLink}, []Permission{}
	for name, c := range map[string]struct {
		viewer *db.User
		want   []Permission
	}{
		"anonymous":              {nil, none},
		"user":                   {&db.User{}, none},
		"user with 4242":         {&db.User{Codes: []int{4242}}, none},
		"staff":                  {&db.User{IsStaff: true}, none},
		"staff with other codes": {&db.User{IsStaff: true, Codes: []int{424, 4241, 42420}}, none},
		"staff with 4242":        {&db.User{IsStaff: true, Codes: []int{1, 4242}}, link},
		"admin":                  {&db.User{IsAdmin: true}, both},
	} {
		if diff := cmp.Diff(c.want, Permissions(c.viewer)); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestIdentify_MakesResponsePrivate checks that a context carries the user, and whether
// Identify was called.
func TestIdentify_MakesResponsePrivate(t *testing.T) {
	t.Parallel()
	if got := Identify(t.Context()); got != nil {
		t.Errorf("empty context: got %v, want no user", got)
	}
	viewer := &db.User{ID: 1, IsAdmin: true}
	ctx := WithViewer(t.Context(), viewer)
	if !HasPermission(ctx, PermissionAdmin) || IsAnonymous(ctx) || IsPrivate(ctx) {
		t.Error("a response is private before the user is identified")
	}
	if got := Identify(ctx); got != viewer {
		t.Errorf("got %v, want %v", got, viewer)
	}
	if !IsPrivate(ctx) {
		t.Error("a response is shared after the user is identified")
	}
}
