// Package legacyimport imports the data and files of the legacy system while it is
// running. It reads the system's database or its endpoint, verifies each link by
// comparing responses, and never overwrites local changes.
package legacyimport

import (
	"context"
	"encoding/hex"
	"iter"
	"strconv"

	"portfolio/db"
)

// batch is a part of the legacy system that is moved in one transaction.
type batch struct {
	users      []*db.User
	tokens     []*db.Token
	portfolios []*db.Portfolio
	onlyIDs    bool        // whether only the ids of the portfolios are known
	images     []*db.Image // without a time if it is not known
	links      []*link

	problems []Problem // rows that cannot be moved
	steps    int       // of the progress
}

// link is a link of the legacy system. Its image is in the batch.
type link struct {
	id, portfolioID int64
	row             *db.PortfolioLink // nil if the link is gone
	response        *response         // of the legacy system, nil if it was not asked
}

// linkID names a link with its portfolio, which requests need.
type linkID struct{ id, portfolioID int64 }

// path returns the path of the request for a link.
func (l linkID) path() string {
	return "/api/portfolios/" + formatID(l.portfolioID) + "/links/" + formatID(l.id)
}

func (l *link) key() linkID { return linkID{l.id, l.portfolioID} }

// source is a legacy system.
type source interface {
	// total returns the number of steps that batches take.
	total(ctx context.Context) (int, error)
	// batches iterates over all rows. Rows come after those that they refer to.
	batches(ctx context.Context) iter.Seq2[*batch, error]
	// again iterates over links as they are now.
	again(ctx context.Context, links []linkID) iter.Seq2[*batch, error]
	// missing returns those of the keys of rows that are gone, among those that
	// batches cannot report.
	missing(ctx context.Context, kind db.RowKind, keys []string) ([]string, error)
	close(ctx context.Context)
}

func formatID(id int64) string { return strconv.FormatInt(id, 10) }

// tokenKey returns the key of a token among moved rows.
func tokenKey(hash []byte) string { return hex.EncodeToString(hash) }

// tokenName names a token in a report.
func tokenName(userID int64) string { return "of user " + formatID(userID) }

// parseTokenKey returns the hash of a token from its key.
func parseTokenKey(key string) []byte {
	hash, _ := hex.DecodeString(key) // as tokenKey wrote it
	return hash
}
