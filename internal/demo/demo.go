// Package demo holds the example in the documentation of the legacy system: a
// portfolio, a link, an image with four thumbnails, and their files.
package demo

import (
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"time"

	"portfolio/db"
	"portfolio/internal/auth"
	"portfolio/internal/storage"
)

//go:embed media
var files embed.FS

// IDs of the documented example.
const (
	PortfolioID = 1
	LinkID      = 4
)

const username = "demo"

// Load writes the example into the database and its files into the store,
// unless the database has users or portfolios. It returns the key of the demo's
// token, which it stores in keyFile, or "" if the token is no longer valid.
func Load(ctx context.Context, database *db.DB, store storage.Store, keyFile string) (string, error) {
	key, err := readKey(keyFile)
	if err != nil {
		return "", err
	}
	empty, err := database.Empty(ctx)
	if err != nil {
		return "", err
	}
	if empty {
		if err := writeFiles(ctx, store); err != nil {
			return "", err
		}
		if err := database.Load(ctx, rows(key)...); err != nil && !errors.Is(err, db.ErrConflict) { // another process loaded it
			return "", err
		}
	}
	if _, _, err := auth.New(database, nil, auth.Options{Timeout: time.Minute, MaxAge: time.Minute}).Viewer(ctx, key); err != nil {
		if errors.Is(err, auth.ErrInvalidToken) || errors.Is(err, auth.ErrInactiveUser) {
			return "", nil
		}
		return "", err
	}
	return key, nil
}

// readKey reads the key from keyFile, which it creates if needed.
func readKey(keyFile string) (string, error) {
	key, err := os.ReadFile(keyFile)
	if errors.Is(err, fs.ErrNotExist) {
		key = []byte(auth.NewKey() + "\n")
		err = os.WriteFile(keyFile, key, 0o600)
	}
	if err != nil {
		return "", fmt.Errorf("key of the demo's token: %w", err)
	}
	return strings.TrimSpace(string(key)), nil
}

// writeFiles stores the files of the example, unless they exist.
func writeFiles(ctx context.Context, store storage.Store) error {
	return fs.WalkDir(files, "media", func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := files.ReadFile(path)
		if err != nil {
			return err
		}
		err = store.Create(ctx, strings.TrimPrefix(path, "media/"), bytes.NewReader(content), int64(len(content)))
		if errors.Is(err, storage.ErrExists) {
			return nil
		}
		return err
	})
}

// rows returns the models of the example. The token has the key.
func rows(key string) []any {
	created := db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296270000, time.UTC)}
	updated := db.Time{Time: time.Date(2026, 1, 13, 10, 5, 43, 296310000, time.UTC)}
	hash, imageID := auth.HashKey(key), int64(6)
	models := []any{
		&db.User{ID: 1, Username: username, IsActive: true, IsStaff: true, CreatedAt: created},
		&db.UserPermission{UserID: 1, Code: auth.PortfolioLinkCode},
		&db.Token{ID: 1, UserID: 1, KeyHash: hash[:], CreatedAt: created, Label: new("demo")},
		&db.Portfolio{ID: PortfolioID, Name: "دمو", CreatedAt: created, UpdatedAt: updated},
		&db.Image{
			ID: imageID, Type: "image", Name: "technology", Path: "core_media/2025/12/02/technology.png",
			Size: 5123, Width: new(225), Height: new(225), Mode: new("P"), CreatedAt: created,
		},
	}
	for i, size := range []int{64, 128, 512, 1080} {
		models = append(models, &db.Thumbnail{
			ID: int64(213 + i), ImageID: imageID, Size: new(size),
			Path: db.FileKey(fmt.Sprintf("core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_%dx%d.jpg", size, size)),
		})
	}
	return append(models, &db.PortfolioLink{
		ID: LinkID, PortfolioID: PortfolioID, ImageID: &imageID, Name: "دمو پروژه",
		URL: new("https://moeinsoft.com/demo"), Description: new("لینک مشاهده دمو"), CreatedAt: created, UpdatedAt: updated,
	})
}
