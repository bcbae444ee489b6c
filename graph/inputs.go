package graph

import (
	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
)

// Filters, inputs and payloads are those of the schema, field by field. What
// is Omittable stays as it is where it is left out.
type (
	// DateTimeRange is a half-open range.
	DateTimeRange struct{ From, Before *db.Time }

	// PortfolioFilter chooses portfolios.
	PortfolioFilter struct {
		Search               *string
		CreatedAt, UpdatedAt *DateTimeRange
	}

	// PortfolioLinkFilter chooses links.
	PortfolioLinkFilter struct {
		Search               *string
		HasImage             *bool
		CreatedAt, UpdatedAt *DateTimeRange
	}

	// CreatePortfolioInput is a new portfolio.
	CreatePortfolioInput struct{ Name string }

	// UpdatePortfolioInput is what to change of a portfolio.
	UpdatePortfolioInput struct {
		ID                int64
		Name              graphql.Omittable[*string]
		ExpectedUpdatedAt *db.Time
	}

	// DeletePortfolioInput is which portfolio to delete.
	DeletePortfolioInput struct {
		ID                int64
		ExpectedUpdatedAt *db.Time
	}

	// CreatePortfolioLinkInput is a new link.
	CreatePortfolioLinkInput struct {
		PortfolioID      int64
		Name             string
		URL, Description *string
		ImageID          *int64
		Image            *graphql.Upload
	}

	// UpdatePortfolioLinkInput is what to change of a link.
	UpdatePortfolioLinkInput struct {
		ID                     int64
		PortfolioID            graphql.Omittable[*int64]
		Name, URL, Description graphql.Omittable[*string]
		ImageID                graphql.Omittable[*int64]
		Image                  *graphql.Upload
		ExpectedUpdatedAt      *db.Time
	}

	// DeletePortfolioLinkInput is which link to delete.
	DeletePortfolioLinkInput struct {
		ID                int64
		ExpectedUpdatedAt *db.Time
	}

	// CreateUserInput is a new user.
	CreateUserInput struct {
		Username         string
		IsStaff, IsAdmin bool
		Codes            []int
	}

	// SetUserPermissionsInput is what to change of a user.
	SetUserPermissionsInput struct {
		Username                   string
		IsActive, IsStaff, IsAdmin graphql.Omittable[*bool]
		Codes                      graphql.Omittable[[]int]
	}

	// CreateTokenInput is a new token.
	CreateTokenInput struct {
		Username  string
		Label     *string
		ExpiresAt *db.Time
	}

	// RevokeTokenInput is which token to delete.
	RevokeTokenInput struct{ ID int64 }

	// CreatePortfolioPayload is what createPortfolio did.
	CreatePortfolioPayload struct{ Portfolio *db.Portfolio }
	// UpdatePortfolioPayload is what updatePortfolio did.
	UpdatePortfolioPayload struct{ Portfolio *db.Portfolio }
	// DeletePortfolioPayload is what deletePortfolio did.
	DeletePortfolioPayload struct {
		Portfolio      *db.Portfolio
		DeletedLinkIDs []int64
	}

	// CreatePortfolioLinkPayload is what createPortfolioLink did.
	CreatePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }
	// UpdatePortfolioLinkPayload is what updatePortfolioLink did.
	UpdatePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }
	// DeletePortfolioLinkPayload is what deletePortfolioLink did.
	DeletePortfolioLinkPayload struct{ PortfolioLink *db.PortfolioLink }

	// CreateUserPayload is what createUser did.
	CreateUserPayload struct{ User *db.User }
	// SetUserPermissionsPayload is what setUserPermissions did.
	SetUserPermissionsPayload struct{ User *db.User }
	// CreateTokenPayload is what createToken did.
	CreateTokenPayload struct {
		Token *db.Token
		Key   string
	}
	// RevokeTokenPayload is what revokeToken did.
	RevokeTokenPayload struct{ Token *db.Token }
)

// DeletedLinkCount is how many links were deleted.
func (p *DeletePortfolioPayload) DeletedLinkCount() int { return len(p.DeletedLinkIDs) }
