package db

import (
	"context"

	"github.com/uptrace/bun"
)

// Node is an object with a globally unique ID.
type Node interface{ NodeID() NodeID }

// NodeID identifies an object among the objects of all types. Without a type, it is
// the ID of an object whose type the context determines.
type NodeID struct {
	Type NodeType
	ID   int64
}

// NodeType is the name of a type in the GraphQL schema.
type NodeType string

// The types of nodes.
const (
	UserNode          NodeType = "User"
	TokenNode         NodeType = "Token"
	PortfolioNode     NodeType = "Portfolio"
	PortfolioLinkNode NodeType = "PortfolioLink"
	ImageNode         NodeType = "Image"
	ThumbnailNode     NodeType = "Thumbnail"
)

// NodeTypes lists the types of nodes.
var NodeTypes = []NodeType{UserNode, TokenNode, PortfolioNode, PortfolioLinkNode, ImageNode, ThumbnailNode}

// NodeID returns the global ID of the user.
func (u *User) NodeID() NodeID { return NodeID{UserNode, u.ID} }

// NodeID returns the global ID of the token.
func (t *Token) NodeID() NodeID { return NodeID{TokenNode, t.ID} }

// NodeID returns the global ID of the portfolio.
func (p *Portfolio) NodeID() NodeID { return NodeID{PortfolioNode, p.ID} }

// NodeID returns the global ID of the link.
func (l *PortfolioLink) NodeID() NodeID { return NodeID{PortfolioLinkNode, l.ID} }

// NodeID returns the global ID of the image.
func (i *Image) NodeID() NodeID { return NodeID{ImageNode, i.ID} }

// NodeID returns the global ID of the thumbnail.
func (t *Thumbnail) NodeID() NodeID { return NodeID{ThumbnailNode, t.ID} }

// Nodes returns the objects of a type with the given IDs, by ID. It runs one
// statement.
func (db *DB) Nodes(ctx context.Context, nodeType NodeType, ids []int64) (map[int64]Node, error) {
	switch nodeType {
	case UserNode:
		return readNodes(ctx, db, db.userList(), ids, nil)
	case TokenNode:
		return readNodes(ctx, db, db.tokenList(), ids, nil)
	case PortfolioNode:
		return readNodes(ctx, db, db.portfolioList(), ids, sharePortfolioPage)
	case PortfolioLinkNode:
		return readNodes(ctx, db, db.linkList(true), ids, shareLinkPage)
	case ImageNode:
		return readNodes(ctx, db, db.imageList(), ids, shareImagePage)
	case ThumbnailNode:
		return readNodes(ctx, db, db.thumbnailList(), ids, nil)
	}
	return nil, ErrNotFound
}

// sizedNode is a Node that is scanned from a row.
type sizedNode interface {
	Node
	sizer
}

// readNodes reads objects as a list does, and calls share, if it is not nil, with all
// of them.
func readNodes[N sizedNode](ctx context.Context, db *DB, spec listSpec[N], ids []int64, share func([]N)) (map[int64]Node, error) {
	type key struct{ table string }
	byIDs := db.rowQueries.get(key{spec.table}, "SELECT "+spec.table+" by ids", false, func() *bun.SelectQuery {
		return spec.query("? AS ?", bun.Ident(spec.table), bun.Ident(spec.alias)).
			Where("?.id IN (SELECT parent.value FROM "+db.idTable()+")", bun.Ident(spec.alias))
	})
	var rows []N
	nodes := make(map[int64]Node, len(ids))
	err := query(ctx, db, byIDs, []any{db.idTableArg(ids)}, spec.scan, func(node N) {
		rows, nodes[node.NodeID().ID] = append(rows, node), node
	})
	if share != nil {
		share(rows)
	}
	return nodes, err
}
