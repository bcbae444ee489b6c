package auth

import (
	"context"
	"reflect"
	"time"

	"portfolio/db"
	"portfolio/internal/changefeed"
)

// Session is an authenticated client. Its user may come from memory while a read barrier is
// under way. So only Do and Refresh give access to the user. An anonymous client has a nil
// Session.
type Session struct {
	authenticator *Authenticator
	key           string
	start         time.Time
	barrier       changefeed.Barrier
	entry         *entry
	refreshed     bool
}

// Authenticate begins a session of the active user who holds the key. The error is
// ErrInvalidToken if the key is unknown or expired, ErrInactiveUser, a *RateLimitError or an
// error of the database. ctx carries the client's address.
func (a *Authenticator) Authenticate(ctx context.Context, key string) (*Session, error) {
	s := &Session{authenticator: a, key: key, start: a.now(), barrier: a.feed.NewBarrier()}
	if s.entry = a.cached(HashKey(key), s.barrier, s.start); s.entry != nil {
		a.hits.Add(1)
		return s, nil
	}
	a.misses.Add(1)
	return s, s.read(ctx)
}

// NewSession returns a session of a user who is current by definition.
func NewSession(viewer *db.User) *Session { return &Session{entry: &entry{viewer: viewer}} }

// Barrier returns the read barrier of the session.
func (s *Session) Barrier() changefeed.Barrier {
	if s == nil {
		return changefeed.Barrier{}
	}
	return s.barrier
}

// Do calls serve with the user of the session, or with nil if the session is anonymous. Then it
// checks that the user is current. If the user has changed, Do calls serve again. So serve must
// not send a response, and must call Refresh before it changes anything. Do returns the errors
// of Authenticate.
func (s *Session) Do(ctx context.Context, serve func(viewer *db.User)) error {
	if s == nil {
		serve(nil)
		return nil
	}
	serve(s.entry.viewer)
	if s.refreshed || s.authenticator == nil {
		return nil
	}
	changed, err := s.revalidate(ctx)
	if changed && err == nil {
		serve(s.entry.viewer)
	}
	return err
}

// Refresh waits for a new barrier, and returns the user who holds the key by then. It returns
// nil if the session is anonymous. It returns the errors of Authenticate.
func (s *Session) Refresh(ctx context.Context) (*db.User, error) {
	if s == nil {
		return nil, nil
	}
	if s.authenticator == nil {
		return s.entry.viewer, nil
	}
	s.start = s.authenticator.now()
	s.barrier = s.authenticator.feed.NewBarrier()
	s.refreshed = true
	if _, err := s.revalidate(ctx); err != nil {
		return nil, err
	}
	return s.entry.viewer, nil
}

// revalidate reads the user again unless it is current, and reports whether it has changed.
func (s *Session) revalidate(ctx context.Context) (changed bool, err error) {
	if s.isCurrent() {
		return false, nil
	}
	ctx, cancel := context.WithDeadline(ctx, s.start.Add(s.authenticator.timeout))
	defer cancel()
	viewer := s.entry.viewer
	err = s.read(ctx)
	return !reflect.DeepEqual(viewer, s.entry.viewer), err
}

// isCurrent waits for the barrier, and reports whether the user is current. Without a feed, the
// user is current unless Invalidate was called since the query. If the barrier fails, the user
// is current only if this session has read the user.
func (s *Session) isCurrent() bool {
	a := s.authenticator
	latest, isYoung := a.wait(s.barrier), a.now().Sub(s.entry.start) < a.maxAge
	switch {
	case a.feed == nil:
		return isYoung && s.entry.revision == latest
	case latest == 0:
		return isYoung && !s.entry.start.Before(s.start)
	}
	return a.isCurrent(s.entry, latest, a.now())
}

// read reads the user from the database.
func (s *Session) read(ctx context.Context) error {
	a, address, hash, now := s.authenticator, AddressFrom(ctx), HashKey(s.key), s.authenticator.now()
	if err := a.attempts.check(address, hash, now); err != nil {
		return err
	}
	e, err := a.load(ctx, hash, s.barrier, now)
	if err == nil {
		err = e.refusal
	}
	if err == nil && e.isExpired(now) {
		err = ErrInvalidToken
	}
	if err != nil {
		if IsRefusal(err) {
			a.attempts.recordFailure(address, hash, now)
		}
		return err
	}
	a.attempts.recordSuccess(hash)
	s.entry = e
	return nil
}
