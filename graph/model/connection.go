// Package model defines the GraphQL types that are not rows of the database:
// scalars, inputs, payloads and connections.
package model

import "portfolio/db"

// Connection is a page of a list, as the Relay specification defines it.
type Connection[R Row] struct {
	TotalCount int

	rows                 []R
	cursors              *CursorCodec
	hasNext, hasPrevious bool
}

// Row is a row of a list.
type Row interface {
	Cursor() db.Cursor
}

// Edge is a row of a page and its cursor.
type Edge[R Row] struct {
	Node R

	cursors *CursorCodec
}

// The connections and edges of the schema.
type (
	// PortfolioConnection is a page of portfolios.
	PortfolioConnection = Connection[*db.Portfolio]
	// PortfolioEdge is a portfolio of a page.
	PortfolioEdge = Edge[*db.Portfolio]
	// PortfolioLinkConnection is a page of links.
	PortfolioLinkConnection = Connection[*db.PortfolioLink]
	// PortfolioLinkEdge is a link of a page.
	PortfolioLinkEdge = Edge[*db.PortfolioLink]
	// ImageConnection is a page of images.
	ImageConnection = Connection[*db.Image]
	// ImageEdge is an image of a page.
	ImageEdge = Edge[*db.Image]
	// UserConnection is a page of users.
	UserConnection = Connection[*db.User]
	// UserEdge is a user of a page.
	UserEdge = Edge[*db.User]
	// TokenConnection is a page of tokens.
	TokenConnection = Connection[*db.Token]
	// TokenEdge is a token of a page.
	TokenEdge = Edge[*db.Token]
)

// PageInfo describes the position of a page in its list.
type PageInfo struct {
	HasNextPage, HasPreviousPage bool
	StartCursor, EndCursor       *string
}

// Nodes returns the rows of the page.
func (c *Connection[R]) Nodes() []R { return c.rows }

// Edges returns the rows of the page with their cursors.
func (c *Connection[R]) Edges() []*Edge[R] {
	edges := make([]*Edge[R], len(c.rows))
	for i, row := range c.rows {
		edges[i] = &Edge[R]{row, c.cursors}
	}
	return edges
}

// PageInfo returns the position of the page in its list.
func (c *Connection[R]) PageInfo() *PageInfo {
	info := &PageInfo{HasNextPage: c.hasNext, HasPreviousPage: c.hasPrevious}
	if len(c.rows) > 0 {
		first, last := c.cursors.cursorOf(c.rows[0]), c.cursors.cursorOf(c.rows[len(c.rows)-1])
		info.StartCursor, info.EndCursor = &first, &last
	}
	return info
}

// Cursor returns the position of the row.
func (e *Edge[R]) Cursor() string { return e.cursors.cursorOf(e.Node) }

// NewConnection returns the connection of a page that was read for list.
func NewConnection[R Row](page *db.Page[R], list db.List, cursors *CursorCodec) *Connection[R] {
	connection := &Connection[R]{TotalCount: page.Total, rows: page.Rows, cursors: cursors, hasNext: page.HasMore, hasPrevious: page.HasPreceding}
	if list.Backward {
		connection.hasNext, connection.hasPrevious = page.HasPreceding, page.HasMore
	}
	return connection
}
