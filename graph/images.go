package graph

import (
	"context"
	"errors"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/apierror"
	"portfolio/internal/imaging"
)

// saveUpload stores the image of the upload input.image, and calls insert to
// write its rows.
func (r *Resolver) saveUpload(ctx context.Context, upload graphql.Upload, insert func(context.Context, *db.Image) error) (*db.Image, error) {
	image, err := r.Images.Save(ctx, upload.Filename, upload.File, insert)
	if invalid, ok := errors.AsType[imaging.InputError](err); ok {
		return nil, apierror.Invalid(string(invalid), "input", "image")
	}
	return image, err
}

// withUpload calls insert with the stored image of the upload, or with nil if
// there is no upload.
func (r *Resolver) withUpload(ctx context.Context, upload *graphql.Upload, insert func(context.Context, *db.Image) error) error {
	if upload == nil {
		return insert(ctx, nil)
	}
	_, err := r.saveUpload(ctx, *upload, insert)
	return err
}
