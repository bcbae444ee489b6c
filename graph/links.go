package graph

import (
	"context"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/graph/model"
)

// maxNewLinks is the maximum number of links that one field creates.
const maxNewLinks = 100

// createLinks stores links with their uploads, either all or none. Each of paths is the path of
// an input.
func (r *Resolver) createLinks(ctx context.Context, inputs []*model.CreatePortfolioLinkInput, paths []path) ([]*db.PortfolioLink, error) {
	var errs inputErrors
	links, references, uploads := make([]*db.PortfolioLink, len(inputs)), make([]db.References, len(inputs)), make([]*graphql.Upload, len(inputs))
	for i, input := range inputs {
		links[i] = errs.newLink(input, paths[i])
		references[i], uploads[i] = links[i].References(), input.Image
	}
	var err error
	if len(errs) > 0 {
		err = r.DB.CheckReferences(ctx, references...)
	} else {
		err = r.withUploads(ctx, uploads, paths, func(ctx context.Context, images []*db.Image) error {
			for i, image := range images {
				links[i].ImageData = image
			}
			return r.DB.CreateLinks(ctx, links)
		})
	}
	return links, errs.orError(err, paths...)
}

// adjacentLink returns the link that follows a link in a direction, or nil.
func (r *Resolver) adjacentLink(ctx context.Context, link *db.PortfolioLink, direction db.Direction) (*db.PortfolioLink, error) {
	return nullIfNotFound(r.DB.AdjacentLink(ctx, link, direction, graphql.FieldRequested(ctx, "imageData")))
}
