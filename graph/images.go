package graph

import (
	"context"
	"errors"
	"fmt"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/apierror"
	"portfolio/internal/images"
	"portfolio/internal/imaging"
)

// withUpload is like withUploads, for the single upload input.image.
func (r *Resolver) withUpload(ctx context.Context, upload *graphql.Upload, insert func(context.Context, *db.Image) error) error {
	return r.withUploads(ctx, []*graphql.Upload{upload}, []path{{"input"}}, func(ctx context.Context, images []*db.Image) error {
		return insert(ctx, images[0])
	})
}

// nameInUse returns err, or an error that clients can read if err is a *db.ImageInUseError.
func nameInUse(err error, image int64) error {
	inUse, ok := errors.AsType[*db.ImageInUseError](err)
	if !ok {
		return err
	}
	links := "links"
	if inUse.Links == 1 {
		links = "link"
	}
	return apierror.New(apierror.Conflict, fmt.Sprintf("The image %d is used by %d %s. Set force to delete it anyway.", image, inUse.Links, links))
}

// withUploads stores the uploads as images, and calls insert to store their rows. The image of
// a nil upload is nil. Each of paths is the path of the object whose field image is the upload.
func (r *Resolver) withUploads(ctx context.Context, uploads []*graphql.Upload, paths []path, insert func(context.Context, []*db.Image) error) error {
	var (
		files   []images.File
		indexes []int
	)
	for i, upload := range uploads {
		if upload != nil {
			files, indexes = append(files, images.File{Name: upload.Filename, Content: upload.File}), append(indexes, i)
		}
	}
	all := make([]*db.Image, len(uploads))
	if files == nil {
		return insert(ctx, all)
	}
	err := r.Images.SaveAll(ctx, files, func(ctx context.Context, newImages []*db.Image) error {
		for i, image := range newImages {
			all[indexes[i]] = image
		}
		return insert(ctx, all)
	})
	file, ok := errors.AsType[*images.FileError](err)
	if invalid, isInput := errors.AsType[imaging.InputError](err); ok && isInput {
		return apierror.Invalid(string(invalid), paths[indexes[file.Index]].field("image")...)
	}
	return err
}
