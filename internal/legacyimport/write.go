package legacyimport

import (
	"bytes"
	"context"
	"slices"
	"strconv"

	"portfolio/db"
)

// transaction moves a batch in one transaction.
type transaction struct {
	tx      db.MoveTx
	rules   rules
	dryRun  bool
	results []result
	marks   []db.MovedRow // to be recorded
}

// move moves the rows of a batch and returns what happened to each.
func (t *transaction) move(ctx context.Context, b *batch) error {
	for _, part := range []func(context.Context, *batch) error{t.users, t.tokens, t.portfolios, t.images, t.links} {
		if err := part(ctx, b); err != nil {
			return err
		}
		if !t.dryRun {
			if err := t.tx.SetMoved(ctx, t.marks); err != nil {
				return err
			}
		}
		t.marks = nil
	}
	return nil
}

// decide decides about a row and records it.
func (t *transaction) decide(kind db.RowKind, key string, legacy version, here *version, same bool, last []byte) outcome {
	outcome, reason := t.rules.decide(legacy, here, same, last)
	t.record(kind, key, legacy, last, outcome, reason)
	return outcome
}

func (t *transaction) record(kind db.RowKind, key string, legacy version, last []byte, outcome outcome, reason string) {
	t.results = append(t.results, result{kind: kind, key: key, outcome: outcome, reason: reason})
	if (outcome == moved || outcome == unchanged) && !bytes.Equal(legacy.hash, last) {
		t.marks = append(t.marks, db.MovedRow{Kind: kind, Key: key, Hash: legacy.hash})
	}
}

// puts are the rows to be stored.
type puts[T any] struct{ created, changed []T }

func (p *puts[T]) add(row T, exists bool) {
	if exists {
		p.changed = append(p.changed, row)
	} else {
		p.created = append(p.created, row)
	}
}

// keysOf returns the keys of rows with ids.
func keysOf(ids []int64) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = formatID(id)
	}
	return keys
}

func idsOf[T any](rows []T, id func(T) int64) []int64 {
	ids := make([]int64, len(rows))
	for i, row := range rows {
		ids[i] = id(row)
	}
	return ids
}

func (t *transaction) users(ctx context.Context, b *batch) error {
	if len(b.users) == 0 {
		return nil
	}
	ids, names := idsOf(b.users, func(u *db.User) int64 { return u.ID }), make([]string, len(b.users))
	for i, user := range b.users {
		names[i] = user.Username
	}
	found, err := t.tx.Users(ctx, ids, names)
	if err != nil {
		return err
	}
	last, err := t.tx.Moved(ctx, db.UserRow, keysOf(ids))
	if err != nil {
		return err
	}
	byID, byName := map[int64]*db.User{}, map[string]*db.User{}
	for _, user := range found {
		byID[user.ID], byName[user.Username] = user, user
	}
	var put puts[*db.User]
	for _, user := range b.users {
		key, legacy := formatID(user.ID), version{hash: hashUser(user)}
		if holder := byName[user.Username]; holder != nil && holder.ID != user.ID {
			t.record(db.UserRow, key, legacy, nil, differing, "the user "+formatID(holder.ID)+" has its name here")
			continue
		}
		var here *version
		other, same := byID[user.ID], false
		if other != nil {
			here, same = &version{hash: hashUser(other)}, other.Username == user.Username || other.CreatedAt.Equal(user.CreatedAt.Time)
		}
		if t.decide(db.UserRow, key, legacy, here, same, last[key]) == moved {
			put.add(new(*user), here != nil)
		}
	}
	if t.dryRun {
		return nil
	}
	return t.tx.PutUsers(ctx, put.created, put.changed)
}

func (t *transaction) tokens(ctx context.Context, b *batch) error {
	if len(b.tokens) == 0 {
		return nil
	}
	hashes, keys := make([][]byte, len(b.tokens)), make([]string, len(b.tokens))
	for i, token := range b.tokens {
		hashes[i], keys[i] = token.KeyHash, tokenKey(token.KeyHash)
	}
	found, err := t.tx.Tokens(ctx, hashes)
	if err != nil {
		return err
	}
	last, err := t.tx.Moved(ctx, db.TokenRow, keys)
	if err != nil {
		return err
	}
	users, err := t.movedIDs(ctx, db.UserRow, idsOf(b.tokens, func(token *db.Token) int64 { return token.UserID }))
	if err != nil {
		return err
	}
	byHash := map[string]*db.Token{}
	for _, token := range found {
		byHash[string(token.KeyHash)] = token
	}
	var created []*db.Token
	decided := len(t.results)
	for i, token := range b.tokens {
		legacy := version{hash: hashToken(token)}
		if !users[token.UserID] {
			t.record(db.TokenRow, keys[i], legacy, nil, differing, "its user "+formatID(token.UserID)+" was not moved")
			continue
		}
		var here *version
		if other := byHash[string(token.KeyHash)]; other != nil {
			here = &version{hash: hashToken(other)}
			if other.UserID != token.UserID {
				t.record(db.TokenRow, keys[i], legacy, nil, differing, "it belongs to the user "+formatID(other.UserID)+" here")
				continue
			}
		}
		if t.decide(db.TokenRow, keys[i], legacy, here, true, last[keys[i]]) == moved {
			created = append(created, new(*token))
		}
	}
	for i, token := range b.tokens { // whose keys say nothing to people
		t.results[decided+i].key = tokenName(token.UserID)
	}
	if t.dryRun {
		return nil
	}
	return t.tx.CreateTokens(ctx, created)
}

// movedIDs returns those of the ids whose rows were moved, and are here. In a dry run
// they are all.
func (t *transaction) movedIDs(ctx context.Context, kind db.RowKind, ids []int64) (map[int64]bool, error) {
	found := map[int64]bool{}
	if t.dryRun {
		for _, id := range ids {
			found[id] = true
		}
		return found, nil
	}
	slices.Sort(ids)
	existing, err := t.tx.Existing(ctx, kind, slices.Compact(ids))
	if err != nil {
		return nil, err
	}
	last, err := t.tx.Moved(ctx, kind, keysOf(existing))
	for _, id := range existing {
		found[id] = last[formatID(id)] != nil
	}
	return found, err
}

func (t *transaction) portfolios(ctx context.Context, b *batch) error {
	ids := idsOf(b.portfolios, func(p *db.Portfolio) int64 { return p.ID })
	found, err := t.tx.Portfolios(ctx, ids)
	if err != nil {
		return err
	}
	last, err := t.tx.Moved(ctx, db.PortfolioRow, keysOf(ids))
	if err != nil {
		return err
	}
	byID := map[int64]*db.Portfolio{}
	for _, portfolio := range found {
		byID[portfolio.ID] = portfolio
	}
	var put puts[*db.Portfolio]
	for _, portfolio := range b.portfolios {
		other, same := byID[portfolio.ID], false
		if b.onlyIDs && other != nil {
			portfolio = other
		}
		key, legacy := formatID(portfolio.ID), version{hashPortfolio(portfolio), portfolio.UpdatedAt.Time}
		var here *version
		if other != nil {
			here, same = &version{hashPortfolio(other), other.UpdatedAt.Time}, other.CreatedAt.Equal(portfolio.CreatedAt.Time)
		}
		if t.decide(db.PortfolioRow, key, legacy, here, same, last[key]) == moved {
			put.add(new(*portfolio), here != nil)
		}
	}
	if t.dryRun {
		return nil
	}
	return t.tx.PutPortfolios(ctx, put.created, put.changed)
}

func (t *transaction) images(ctx context.Context, b *batch) error {
	ids := idsOf(b.images, func(i *db.Image) int64 { return i.ID })
	found, err := t.tx.Images(ctx, ids)
	if err != nil {
		return err
	}
	last, err := t.tx.Moved(ctx, db.ImageRow, keysOf(ids))
	if err != nil {
		return err
	}
	owners, err := t.tx.ImagesOfThumbnails(ctx, thumbnailIDs(b.images))
	if err != nil {
		return err
	}
	byID := map[int64]*db.Image{}
	for _, image := range found {
		byID[image.ID] = image
	}
	var put puts[*db.Image]
	for _, image := range b.images {
		image = new(*image)
		other, same := byID[image.ID], false
		var here *version
		if other != nil {
			here, same = &version{hash: hashImage(other)}, other.SourceHash == nil && other.MimeType == nil // not uploaded here
		}
		if image.CreatedAt.IsZero() {
			image.CreatedAt = b.imageTime(image.ID, other)
		}
		key, legacy := formatID(image.ID), version{hash: hashImage(image)}
		if reason := thumbnailTaken(image, owners); reason != "" {
			t.record(db.ImageRow, key, legacy, nil, differing, reason)
			continue
		}
		if t.decide(db.ImageRow, key, legacy, here, same, last[key]) == moved {
			put.add(image, here != nil)
		}
	}
	if t.dryRun {
		return nil
	}
	return t.tx.PutImages(ctx, put.created, put.changed)
}

// imageTime returns the time of an image that the legacy system does not tell: that of
// the image here, or of a link that uses it.
func (b *batch) imageTime(id int64, here *db.Image) db.Time {
	if here != nil {
		return here.CreatedAt
	}
	for _, link := range b.links {
		if link.row != nil && link.row.ImageID != nil && *link.row.ImageID == id {
			return link.row.CreatedAt
		}
	}
	return db.Now()
}

func thumbnailIDs(images []*db.Image) (ids []int64) {
	for _, image := range images {
		ids = append(ids, idsOf(image.Thumbnails, func(t *db.Thumbnail) int64 { return t.ID })...)
	}
	return ids
}

// thumbnailTaken returns which thumbnail of an image is one of another image, and
// otherwise makes them those of the image.
func thumbnailTaken(image *db.Image, owners map[int64]int64) (reason string) {
	seen := map[int64]bool{}
	for _, thumbnail := range image.Thumbnails {
		owner, exists := owners[thumbnail.ID]
		if exists && owner != image.ID || seen[thumbnail.ID] {
			return "its thumbnail " + formatID(thumbnail.ID) + " is one of another image, or is there twice"
		}
		seen[thumbnail.ID] = true
	}
	for id := range seen {
		owners[id] = image.ID
	}
	return ""
}

func (t *transaction) links(ctx context.Context, b *batch) error {
	ids := idsOf(b.links, func(l *link) int64 { return l.id })
	var portfolioIDs, imageIDs []int64
	for _, link := range b.links {
		if link.row != nil {
			portfolioIDs = append(portfolioIDs, link.portfolioID)
			if link.row.ImageID != nil {
				imageIDs = append(imageIDs, *link.row.ImageID)
			}
		}
	}
	portfolios, err := t.movedIDs(ctx, db.PortfolioRow, portfolioIDs)
	if err != nil {
		return err
	}
	images, err := t.movedIDs(ctx, db.ImageRow, imageIDs)
	if err != nil {
		return err
	}
	found, err := t.tx.Links(ctx, ids)
	if err != nil {
		return err
	}
	last, err := t.tx.Moved(ctx, db.LinkRow, keysOf(ids))
	if err != nil {
		return err
	}
	byID := map[int64]*db.PortfolioLink{}
	for _, row := range found {
		byID[row.ID] = row
	}
	var put puts[*db.PortfolioLink]
	for _, link := range b.links {
		here, key := byID[link.id], formatID(link.id)
		if link.row == nil {
			if err := t.gone(ctx, db.LinkRow, key, link.id, hashOfLink(here), last[key]); err != nil {
				return err
			}
			continue
		}
		if t.decideLink(link.row, here, portfolios, images, last[key]) == moved {
			put.add(new(*link.row), here != nil)
		}
	}
	if t.dryRun {
		return nil
	}
	return t.tx.PutLinks(ctx, put.created, put.changed)
}

func (t *transaction) decideLink(row, other *db.PortfolioLink, portfolios, images map[int64]bool, last []byte) outcome {
	key, legacy := formatID(row.ID), version{hashLink(row), row.UpdatedAt.Time}
	switch {
	case !portfolios[row.PortfolioID]:
		t.record(db.LinkRow, key, legacy, nil, differing, "its portfolio "+formatID(row.PortfolioID)+" was not moved")
		return differing
	case row.ImageID != nil && !images[*row.ImageID]:
		t.record(db.LinkRow, key, legacy, nil, differing, "its image "+formatID(*row.ImageID)+" was not moved")
		return differing
	case other == nil:
		return t.decide(db.LinkRow, key, legacy, nil, false, last)
	}
	same := other.CreatedAt.Equal(row.CreatedAt.Time)
	return t.decide(db.LinkRow, key, legacy, &version{hashLink(other), other.UpdatedAt.Time}, same, last)
}

func hashOfLink(link *db.PortfolioLink) []byte {
	if link == nil {
		return nil
	}
	return hashLink(link)
}

// gone handles a row that is gone in the legacy system. Here is the hash of the row
// here, nil if there is none.
func (t *transaction) gone(ctx context.Context, kind db.RowKind, key string, id int64, here, last []byte) error {
	if here == nil || last == nil { // also deleted here, or never moved
		if t.dryRun {
			return nil
		}
		return t.tx.ForgetMoved(ctx, kind, key)
	}
	outcome, reason := t.rules.decideGone(version{hash: here}, last)
	if outcome == deleted && !t.dryRun {
		done, err := t.tx.Delete(ctx, kind, id)
		if err == nil && done {
			err = t.tx.ForgetMoved(ctx, kind, key)
		}
		if err != nil {
			return err
		}
		if !done {
			outcome, reason = skipped, "it is gone in the legacy system, but used here"
		}
	}
	t.results = append(t.results, result{kind: kind, key: formatID(id), outcome: outcome, reason: reason})
	return nil
}

// goneRows handles rows that are gone in the legacy system.
func (t *transaction) goneRows(ctx context.Context, kind db.RowKind, keys []string) error {
	last, err := t.tx.Moved(ctx, kind, keys)
	if err != nil {
		return err
	}
	found, err := t.rowsHere(ctx, kind, keys)
	if err != nil {
		return err
	}
	for _, key := range keys {
		here := found[key]
		if err := t.gone(ctx, kind, key, here.id, here.hash, last[key]); err != nil {
			return err
		}
	}
	return nil
}

type rowHere struct {
	id   int64
	hash []byte
}

// rowsHere returns the rows with these keys that are here.
func (t *transaction) rowsHere(ctx context.Context, kind db.RowKind, keys []string) (map[string]rowHere, error) {
	if kind == db.TokenRow {
		hashes := make([][]byte, len(keys))
		for i, key := range keys {
			hashes[i] = parseTokenKey(key)
		}
		tokens, err := t.tx.Tokens(ctx, hashes)
		return rowsByKey(tokens, func(row *db.Token) (string, int64, []byte) { return tokenKey(row.KeyHash), row.ID, hashToken(row) }), err
	}
	ids := make([]int64, len(keys))
	for i, key := range keys {
		ids[i], _ = strconv.ParseInt(key, 10, 64) // as formatID wrote it
	}
	switch kind {
	case db.UserRow:
		users, err := t.tx.Users(ctx, ids, nil)
		return rowsByKey(users, func(row *db.User) (string, int64, []byte) { return formatID(row.ID), row.ID, hashUser(row) }), err
	case db.PortfolioRow:
		portfolios, err := t.tx.Portfolios(ctx, ids)
		return rowsByKey(portfolios, func(row *db.Portfolio) (string, int64, []byte) { return formatID(row.ID), row.ID, hashPortfolio(row) }), err
	case db.ImageRow:
		images, err := t.tx.Images(ctx, ids)
		return rowsByKey(images, func(row *db.Image) (string, int64, []byte) { return formatID(row.ID), row.ID, hashImage(row) }), err
	}
	links, err := t.tx.Links(ctx, ids)
	return rowsByKey(links, func(row *db.PortfolioLink) (string, int64, []byte) { return formatID(row.ID), row.ID, hashLink(row) }), err
}

func rowsByKey[T any](rows []T, describe func(T) (string, int64, []byte)) map[string]rowHere {
	found := map[string]rowHere{}
	for _, row := range rows {
		key, id, hash := describe(row)
		found[key] = rowHere{id, hash}
	}
	return found
}
