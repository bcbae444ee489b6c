package db

// Node is an object with a globally unique ID.
type Node interface{ NodeID() NodeID }

// NodeID identifies an object among those of all types. Without a type, it is
// the ID of an object whose type the context tells.
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
