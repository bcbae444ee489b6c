package auth

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestAllowed(t *testing.T) {
	both, link, none := []Permission{PermissionPortfolioLink, PermissionAdmin}, []Permission{PermissionPortfolioLink}, []Permission{}
	for name, c := range map[string]struct {
		viewer *Viewer
		want   []Permission
	}{
		"anonymous":              {nil, none},
		"user":                   {&Viewer{}, none},
		"user with 4242":         {&Viewer{codes: []int{4242}}, none},
		"staff":                  {&Viewer{IsStaff: true}, none},
		"staff with other codes": {&Viewer{IsStaff: true, codes: []int{424, 4241, 42420}}, none},
		"staff with 4242":        {&Viewer{IsStaff: true, codes: []int{1, 4242}}, link},
		"admin":                  {&Viewer{IsAdmin: true}, both},
	} {
		if diff := cmp.Diff(c.want, c.viewer.Permissions()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

func TestViewerFrom(t *testing.T) {
	if ViewerFrom(context.Background()) != nil {
		t.Error("an empty context has a viewer")
	}
	viewer := &Viewer{ID: 1}
	if ViewerFrom(WithViewer(context.Background(), viewer)) != viewer {
		t.Error("the context has another viewer")
	}
}
