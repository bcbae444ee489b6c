package model

import (
	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/auth"
)

// The filters, inputs and payloads of the schema. A mutation does not change the value of
// an Omittable field that is not set.
type (
	// DateTimeRange is a half-open range of times.
	DateTimeRange struct{ From, Before *db.Time }

	// UploadImageInput is an image to store.
	UploadImageInput struct {
		Image graphql.Upload
		Alt   *string
	}
	// UploadImagePayload is the result of uploadImage.
	UploadImagePayload struct{ Image *db.Image }

	// UpdateImageInput holds the changes of an image.
	UpdateImageInput struct {
		ID  db.NodeID
		Alt graphql.Omittable[*string]
	}
	// UpdateImagePayload is the result of updateImage.
	UpdateImagePayload struct{ Image *db.Image }

	// DeleteImageInput names an image to delete.
	DeleteImageInput struct {
		ID    db.NodeID
		Force bool
	}
	// DeleteImagePayload is the result of deleteImage.
	DeleteImagePayload struct{ Image *db.Image }

	// PortfolioFilter selects portfolios.
	PortfolioFilter struct {
		Search, Name         *string
		CreatedAt, UpdatedAt *DateTimeRange
	}

	// PortfolioLinkFilter selects links.
	PortfolioLinkFilter struct {
		Search, Name, URL    *string
		ImageID              *db.NodeID
		HasImage             *bool
		CreatedAt, UpdatedAt *DateTimeRange
	}

	// ImageFilter selects images.
	ImageFilter struct {
		Search *string
		Unused *bool
		Type   *string
	}

	// CreatePortfolioInput is a new portfolio.
	CreatePortfolioInput struct{ Name string }

	// UpdatePortfolioInput holds the changes of a portfolio.
	UpdatePortfolioInput struct {
		ID                db.NodeID
		Name              graphql.Omittable[*string]
		ExpectedUpdatedAt *db.Time
	}

	// DeletePortfolioInput names a portfolio to delete.
	DeletePortfolioInput struct {
		ID                db.NodeID
		ExpectedUpdatedAt *db.Time
	}

	// CreatePortfolioLinkInput is a new link.
	CreatePortfolioLinkInput struct {
		PortfolioID      db.NodeID
		Name             string
		URL, Description *string
		ImageID          *db.NodeID
		Image            *graphql.Upload
	}

	// CreatePortfolioLinksInput holds new links.
	CreatePortfolioLinksInput struct{ Links []*CreatePortfolioLinkInput }

	// UpdatePortfolioLinkInput holds the changes of a link.
	UpdatePortfolioLinkInput struct {
		ID                     db.NodeID
		PortfolioID            graphql.Omittable[*db.NodeID]
		Name, URL, Description graphql.Omittable[*string]
		ImageID                graphql.Omittable[*db.NodeID]
		Image                  *graphql.Upload
		ExpectedUpdatedAt      *db.Time
	}

	// MovePortfolioLinkInput names a link to move, and the link before or after its new position.
	MovePortfolioLinkInput struct {
		ID                db.NodeID
		BeforeID, AfterID *db.NodeID
		ExpectedUpdatedAt *db.Time
	}

	// DeletePortfolioLinkInput names a link to delete.
	DeletePortfolioLinkInput struct {
		ID                db.NodeID
		ExpectedUpdatedAt *db.Time
	}

	// CreateUserInput is a new user.
	CreateUserInput struct {
		Username         string
		IsStaff, IsAdmin bool
		Permissions      []auth.Permission
	}

	// SetUserPermissionsInput holds the changes of a user.
	SetUserPermissionsInput struct {
		Username                   string
		IsActive, IsStaff, IsAdmin graphql.Omittable[*bool]
		Permissions                graphql.Omittable[[]auth.Permission]
	}

	// CreateTokenInput is a new token.
	CreateTokenInput struct {
		Username  string
		Label     *string
		ExpiresAt *db.Time
	}

	// RevokeTokenInput names a token to delete.
	RevokeTokenInput struct{ ID db.NodeID }

	// CreatePortfolioPayload is the result of createPortfolio.
	CreatePortfolioPayload struct{ Portfolio *db.Portfolio }
	// UpdatePortfolioPayload is the result of updatePortfolio.
	UpdatePortfolioPayload struct{ Portfolio *db.Portfolio }
	// DeletePortfolioPayload is the result of deletePortfolio.
	DeletePortfolioPayload struct {
		Portfolio      *db.Portfolio
		DeletedLinkIDs []int64
	}

	// CreatePortfolioLinkPayload is the result of createPortfolioLink.
	CreatePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }
	// CreatePortfolioLinksPayload is the result of createPortfolioLinks.
	CreatePortfolioLinksPayload struct{ PortfolioLinks []*db.PortfolioLink }
	// UpdatePortfolioLinkPayload is the result of updatePortfolioLink.
	UpdatePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }
	// MovePortfolioLinkPayload is the result of movePortfolioLink.
	MovePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }
	// DeletePortfolioLinkPayload is the result of deletePortfolioLink.
	DeletePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }

	// CreateUserPayload is the result of createUser.
	CreateUserPayload struct{ User *db.User }
	// SetUserPermissionsPayload is the result of setUserPermissions.
	SetUserPermissionsPayload struct{ User *db.User }
	// CreateTokenPayload is the result of createToken.
	CreateTokenPayload struct {
		Token *db.Token
		Key   string
	}
	// RevokeTokenPayload is the result of revokeToken.
	RevokeTokenPayload struct{ Token *db.Token }
)

// DeletedLinkCount returns the number of links that were deleted.
func (p *DeletePortfolioPayload) DeletedLinkCount() int { return len(p.DeletedLinkIDs) }

// DeletedLinks returns the global IDs of the links that were deleted.
func (p *DeletePortfolioPayload) DeletedLinks() []db.NodeID {
	links := make([]db.NodeID, len(p.DeletedLinkIDs))
	for i, id := range p.DeletedLinkIDs {
		links[i] = db.NodeID{Type: db.PortfolioLinkNode, ID: id}
	}
	return links
}

// DeletedNodeID returns the global ID of the deleted portfolio.
func (p *DeletePortfolioPayload) DeletedNodeID() db.NodeID { return p.Portfolio.NodeID() }

// DeletedNodeID returns the global ID of the deleted link.
func (p *DeletePortfolioLinkPayload) DeletedNodeID() db.NodeID { return p.PortfolioLink.NodeID() }

// DeletedNodeID returns the global ID of the deleted image.
func (p *DeleteImagePayload) DeletedNodeID() db.NodeID { return p.Image.NodeID() }

// DeletedNodeID returns the global ID of the deleted token.
func (p *RevokeTokenPayload) DeletedNodeID() db.NodeID { return p.Token.NodeID() }
