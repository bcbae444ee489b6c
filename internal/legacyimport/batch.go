package legacyimport

import (
	"context"
	"encoding/hex"
	"iter"
	"strconv"

	"portfolio/db"
)

// source is a legacy system.
type source interface {
	// total returns the number of steps of all batches.
	total(ctx context.Context) (int, error)
	// batches iterates over all rows. Rows come after the rows that they refer to.
	batches(ctx context.Context) iter.Seq2[*batch, error]
	// retry iterates over the current rows of links.
	retry(ctx context.Context, links []int64) iter.Seq2[*batch, error]
	// missing returns the keys whose rows the legacy system has deleted, unless batches
	// report them.
	missing(ctx context.Context, kind db.RowKind, keys []string) ([]string, error)
	close(ctx context.Context)
}

// batch is a part of the legacy system that is imported in one transaction.
type batch struct {
	users      []*db.User
	tokens     []*db.Token
	portfolios []*db.Portfolio
	onlyIDs    bool        // whether portfolios have only IDs
	images     []*db.Image // the time is zero if the source has none
	links      []*link
	deleted    []int64 // IDs of links that the source does not have

	problems []Problem // rows that cannot be imported
	steps    int       // of the progress
}

// link is a link of the legacy system. Its image is in the batch.
type link struct {
	row         *db.PortfolioLink
	response    *response // of the legacy system; nil if none was requested
	differences []Difference
}

// linkID identifies a link in requests.
type linkID struct{ id, portfolioID int64 }

// path returns the path of the request for a link.
func (l linkID) path() string {
	return "/api/portfolios/" + formatID(l.portfolioID) + "/links/" + formatID(l.id)
}

func (l *link) id() linkID { return linkID{l.row.ID, l.row.PortfolioID} }

func formatID(id int64) string { return strconv.FormatInt(id, 10) }

// keysOf returns the keys of rows with these IDs.
func keysOf(ids []int64) []string {
	keys := make([]string, len(ids))
	for i, id := range ids {
		keys[i] = formatID(id)
	}
	return keys
}

// idsOf returns the IDs of rows, and the rows by ID.
func idsOf[Row db.Node](rows []Row) ([]int64, map[int64]Row) {
	ids, byID := make([]int64, len(rows)), map[int64]Row{}
	for i, row := range rows {
		ids[i] = row.NodeID().ID
		byID[ids[i]] = row
	}
	return ids, byID
}

// tokenKey returns the key of a token among imported rows.
func tokenKey(hash []byte) string { return hex.EncodeToString(hash) }

// parseTokenKey returns the hash of a token from its key.
func parseTokenKey(key string) []byte {
	hash, _ := hex.DecodeString(key) // as tokenKey wrote it
	return hash
}

// tokenLabel names a token in a report.
func tokenLabel(userID int64) string { return "of user " + formatID(userID) }
