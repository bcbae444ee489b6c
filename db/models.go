package db

import (
	"database/sql/driver"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/uptrace/bun"
)

// User is an account, which can own tokens.
type User struct {
	bun.BaseModel `bun:"users,alias:u"`

	ID        int64 `bun:",pk,autoincrement"`
	Username  string
	IsActive  bool
	IsStaff   bool
	IsAdmin   bool
	CreatedAt Time

	Codes []int `bun:"-"` // permission codes, ascending
}

// UserPermission is a permission code of a user.
type UserPermission struct {
	bun.BaseModel `bun:"user_permissions,alias:p"`

	UserID int64 `bun:",pk"`
	Code   int   `bun:",pk"`
}

// Token is an API key. The database stores only the SHA-256 of the key.
type Token struct {
	bun.BaseModel `bun:"tokens,alias:t"`

	ID        int64 `bun:",pk,autoincrement"`
	UserID    int64
	KeyHash   []byte
	CreatedAt Time
	Label     *string
	ExpiresAt *Time

	User *User `bun:"rel:belongs-to,join:user_id=id"`
}

// Username returns the name of the token's user, or "" if the user does not exist.
func (t *Token) Username() string {
	if t.User == nil {
		return ""
	}
	return t.User.Username
}

// Portfolio is a named set of links.
type Portfolio struct {
	bun.BaseModel `bun:"portfolios,alias:portfolio"`

	ID        int64 `bun:",pk,autoincrement"`
	Name      string
	CreatedAt Time
	UpdatedAt Time

	page *portfolioPage // nil if not read with a page
}

// PortfolioLink is one entry of a portfolio.
type PortfolioLink struct {
	bun.BaseModel `bun:"portfolio_links,alias:link"`

	ID          int64 `bun:",pk,autoincrement"`
	PortfolioID int64
	ImageID     *int64
	Name        string
	URL         *string
	Description *string
	CreatedAt   Time
	UpdatedAt   Time

	StoredPosition *float64 `bun:"position"` // nil if it is the ID

	ImageData *Image `bun:"rel:belongs-to,join:image_id=id"`

	page      *linkPage  // nil if not read with a page
	portfolio *Portfolio // nil if not read yet
}

func (p *Portfolio) updated() Time     { return p.UpdatedAt }
func (l *PortfolioLink) updated() Time { return l.UpdatedAt }

// Image is a stored image file and its metadata.
type Image struct {
	bun.BaseModel `bun:"images,alias:image"`

	ID        int64 `bun:",pk,autoincrement"`
	Type      string
	Name      string
	Path      FileKey
	Size      int64 // bytes
	Width     *int  // pixels
	Height    *int  // pixels
	Mode      *string
	CreatedAt Time

	MimeType    *string
	Placeholder *string // blurhash
	SourceHash  []byte  // SHA-256 of the uploaded file
	Alt         *string // alternative text

	Thumbnails []*Thumbnail `bun:"rel:has-many,join:id=image_id"`

	page *imagePage // nil if not read with a page
}

// Thumbnail is a smaller rendering of an image.
type Thumbnail struct {
	bun.BaseModel `bun:"thumbnails,alias:thumbnail"`

	ID      int64 `bun:",pk,autoincrement"`
	ImageID int64
	Path    FileKey
	Size    *int // side of the bounding box, pixels

	// The legacy system stored none of the following.
	Width, Height *int   // pixels
	FileSize      *int64 // bytes
}

// FileKey is the key of a file under the media root, such as
// core_media/2025/12/02/technology.png.
type FileKey string

// Thumbnail returns the smallest thumbnail with a bounding box of at least size
// pixels, or nil if there is none.
func (i *Image) Thumbnail(size int) *Thumbnail {
	var smallest *Thumbnail
	for _, thumbnail := range i.Thumbnails {
		if thumbnail.Size != nil && *thumbnail.Size >= size && (smallest == nil || *thumbnail.Size < *smallest.Size) {
			smallest = thumbnail
		}
	}
	return smallest
}

// Srcset lists files of one image by width.
type Srcset []SrcsetFile

// SrcsetFile is a file with its width in pixels.
type SrcsetFile struct {
	Path  FileKey
	Width int
}

// Srcset returns the thumbnails and the image itself by ascending width, one file for
// each width. It returns nil if no width is known.
func (i *Image) Srcset() Srcset {
	var files Srcset
	if i.Width != nil {
		files = Srcset{{i.Path, *i.Width}}
	}
	for _, thumbnail := range i.Thumbnails {
		if width, ok := i.thumbnailWidth(thumbnail); ok && !slices.ContainsFunc(files, func(file SrcsetFile) bool { return file.Width == width }) {
			files = append(files, SrcsetFile{thumbnail.Path, width})
		}
	}
	slices.SortFunc(files, func(a, b SrcsetFile) int { return a.Width - b.Width })
	return files
}

// thumbnailWidth returns the width of a thumbnail in pixels, if it is known. The
// legacy system fitted thumbnails into their box and never enlarged them.
func (i *Image) thumbnailWidth(thumbnail *Thumbnail) (width int, ok bool) {
	if thumbnail.Width != nil {
		return *thumbnail.Width, true
	}
	if thumbnail.Size == nil || i.Width == nil || i.Height == nil {
		return 0, false
	}
	scale := min(1, float64(*thumbnail.Size)/float64(max(*i.Width, *i.Height, 1)))
	return int(math.Round(float64(*i.Width) * scale)), true
}

// Time is an instant in UTC with the precision of both databases, a
// microsecond. SQLite stores it as text of fixed width, which sorts by time.
type Time struct{ time.Time }

const timeLayout = "2006-01-02T15:04:05.000000Z"

// Now returns the current time with the precision of the databases.
func Now() Time { return Time{time.Now().UTC().Truncate(time.Microsecond)} }

// roundUp returns the first microsecond that is not before t. A stored time is before the
// result if and only if it is before t.
func (t Time) roundUp() Time {
	return Time{t.Add(time.Microsecond - 1).Truncate(time.Microsecond)}
}

// Value implements driver.Valuer for both databases.
func (t Time) Value() (driver.Value, error) {
	return t.UTC().Format(timeLayout), nil
}

// Scan implements sql.Scanner for both databases.
func (t *Time) Scan(src any) error {
	switch src := src.(type) {
	case time.Time:
		t.Time = src.UTC()
		return nil
	case string:
		for _, layout := range [...]string{time.RFC3339, "2006-01-02 15:04:05Z07:00", time.DateTime} {
			if parsed, err := time.Parse(layout, src); err == nil {
				t.Time = parsed.UTC().Truncate(time.Microsecond)
				return nil
			}
		}
	}
	return fmt.Errorf("not a time: %v", src)
}
