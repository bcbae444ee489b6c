package graph

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/99designs/gqlgen/graphql"

	"portfolio/db"
	"portfolio/internal/apierror"
	"portfolio/internal/imaging"
)

const commitTimeout = 10 * time.Second

// SavePicture stores a picture that a client calls name: its files with their
// thumbnails first, then by commit the rows. A file that is no picture is a
// imaging.InputError.
func SavePicture(ctx context.Context, pictures *imaging.Pictures, name string, content io.ReadSeeker, commit func(context.Context, *db.Image) error) (*db.Image, error) {
	var image *db.Image
	err := pictures.Save(ctx, name, content, func(picture imaging.Picture) error {
		image = imageOf(picture)
		// A client that goes away must not leave it open whether there are rows.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), commitTimeout)
		defer cancel()
		err := commit(ctx, image)
		if errors.Is(err, db.ErrUnavailable) {
			return fmt.Errorf("%w: %w", imaging.ErrUncertain, err)
		}
		return err
	})
	return image, err
}

func imageOf(picture imaging.Picture) *db.Image {
	image := db.Image{
		Type: "image", Name: picture.Name, Path: db.MediaPath(picture.Key), Size: picture.Size,
		Width: &picture.Width, Height: &picture.Height, Mode: &picture.Mode, MimeType: &picture.MIMEType,
		Placeholder: &picture.Placeholder, SourceHash: picture.Source[:],
	}
	for _, thumbnail := range picture.Thumbnails {
		image.Thumbnails = append(image.Thumbnails, &db.Thumbnail{
			Path: db.MediaPath(thumbnail.Key), Size: &thumbnail.Box,
			Width: &thumbnail.Width, Height: &thumbnail.Height, FileSize: &thumbnail.Size,
		})
	}
	return &image
}

// saveUpload is SavePicture for the upload input.image of a mutation.
func (r *Resolver) saveUpload(ctx context.Context, upload graphql.Upload, commit func(context.Context, *db.Image) error) (*db.Image, error) {
	image, err := SavePicture(ctx, r.Pictures, upload.Filename, upload.File, commit)
	if refused, ok := errors.AsType[imaging.InputError](err); ok {
		return nil, apierror.Invalid(string(refused), "input", "image")
	}
	return image, err
}

// withUpload runs what stores a link, with the image of the upload where there
// is one.
func (r *Resolver) withUpload(ctx context.Context, upload *graphql.Upload, store func(context.Context, *db.Image) error) error {
	if upload == nil {
		return store(ctx, nil)
	}
	_, err := r.saveUpload(ctx, *upload, store)
	return err
}
