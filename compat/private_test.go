package compat_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"portfolio/compat"
	"portfolio/compat/compattest"
	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/internal/auth"
)

// personalLinks resolves links with the name of the viewer.
type personalLinks struct{ compat.Links }

func (p personalLinks) PortfolioLink(ctx context.Context, portfolioID *db.NodeID, id db.NodeID) (*db.PortfolioLink, error) {
	link, err := p.Links.PortfolioLink(ctx, portfolioID, id)
	if link != nil {
		link.Name = "for " + auth.Identify(ctx).Username
	}
	return link, err
}

// TestHandler_SharesNoPrivateResponse checks that users with the same rights get their own
// responses if the resolver asks who the viewer is.
func TestHandler_SharesNoPrivateResponse(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, "testdata/fixtures.json", func(t *testing.T, dsn string) {
		t.Parallel()
		database := dbtest.Open(t, dsn)
		handler, _ := newCached(t, database, personalLinks{links(database)})
		address := serve(t, handler)
		for range 3 {
			for username, key := range map[string]string{"admin": documentedToken, "admin-big-id": "db899819f6fb1963bb72b94a71d5e8a4ced68b56"} {
				raw := "GET /api/portfolios/1/links/4 HTTP/1.1\r\nHost: h\r\nAuthorization: Token " + key + "\r\nConnection: close\r\n\r\n"
				got := compattest.Send(t, address, http.MethodGet, []byte(raw))
				if want := `"name":"for ` + username + `"`; !strings.Contains(got.Body, want) {
					t.Errorf("%s: got %d %s, want %s", username, got.Status, got.Body, want)
				}
			}
		}
	})
}
