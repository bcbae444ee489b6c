package auth

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
)

func TestAllowed(t *testing.T) {
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

func TestViewerFrom(t *testing.T) {
	if ViewerFrom(context.Background()) != nil {
		t.Error("an empty context has a viewer")
	}
	viewer := &db.User{ID: 1}
	if ViewerFrom(WithViewer(context.Background(), viewer)) != viewer {
		t.Error("the context has another viewer")
	}
}
