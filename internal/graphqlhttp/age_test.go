package graphqlhttp_test

import (
	"strings"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/livequery"
)

// TestSubscriber_GetsEventsWithoutNotifications checks that subscriptions continue without
// notifications. They are executed again at their maximum age, and a viewer who has lost the
// right is disconnected.
func TestSubscriber_GetsEventsWithoutNotifications(t *testing.T) {
	t.Parallel()
	dsn := dbtest.LoadedPostgres(t, graphtest.Recorded)
	server := serveSubscriptions(t, dsn, func(o *graphtest.Options) {
		o.Hub = livequery.New(livequery.Options{Feed: o.Feed, MaxAge: time.Second, Limit: 10, Budget: admission.NewBudget(64<<20, nil)})
	})
	newToken(t, dsn, time.Time{})
	stream := openStream(t, server, "Token "+newKey, "subscription{portfolioLinkChanged(id:4){name}}")
	stream.receive()
	if err := dbtest.Open(t, dsn).SetFeed(t.Context(), false); err != nil {
		t.Fatal(err)
	}
	dbtest.Exec(t, dsn, "UPDATE portfolio_links SET name = 'not notified' WHERE id = 4")
	if got, want := stream.receive(), `"not notified"`; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
	dbtest.Exec(t, dsn, "DELETE FROM tokens")
	if got, want := stream.receive(), "UNAUTHENTICATED"; !strings.Contains(got, want) {
		t.Errorf("got %s, want %s", got, want)
	}
}
