package db_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
)

// TestImport_StoresAndChangesRows stores rows of the legacy system, changes and deletes them.
func TestImport_StoresAndChangesRows(t *testing.T) {
	t.Parallel()
	timeOf := func(second int) db.Time {
		return db.Time{Time: time.Date(2026, 1, 13, 10, 5, second, 296270000, time.UTC)}
	}
	hash := func(b byte) []byte { return slices.Repeat([]byte{b}, 32) }
	const big = 1<<63 - 1
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		database := dbtest.Open(t, dsn)
		importRows := func(do func(ctx context.Context, tx db.ImportTx) error) {
			t.Helper()
			if err := database.Import(t.Context(), do); err != nil {
				t.Fatal(err)
			}
		}
		user := &db.User{ID: 7, Username: "sara", IsStaff: true, CreatedAt: timeOf(1), Codes: []int{7, 4242}}
		image := &db.Image{ID: 6, Type: "image", Name: "n", Path: "a.png", Size: 5, CreatedAt: timeOf(2), Thumbnails: []*db.Thumbnail{{ID: 213, ImageID: 6, Path: "t.png"}}}
		link := &db.PortfolioLink{ID: 4, PortfolioID: big, ImageID: new(int64(6)), Name: "n", CreatedAt: timeOf(3), UpdatedAt: timeOf(4)}
		importRows(func(ctx context.Context, tx db.ImportTx) error {
			return firstError(
				tx.PutUsers(ctx, []*db.User{user}, nil),
				tx.CreateTokens(ctx, []*db.Token{{UserID: 7, KeyHash: hash(1), CreatedAt: timeOf(5)}, {UserID: 7, KeyHash: hash(2), CreatedAt: timeOf(5)}}),
				tx.PutPortfolios(ctx, []*db.Portfolio{{ID: big, Name: "p", CreatedAt: timeOf(1), UpdatedAt: timeOf(2)}}, nil),
				tx.PutImages(ctx, []*db.Image{image}, nil),
				tx.PutLinks(ctx, []*db.PortfolioLink{link}, nil),
				tx.RecordImported(ctx, []db.ImportedRow{{Kind: db.LinkRow, Key: "4", Hash: hash(3)}, {Kind: db.ImageRow, Key: "6", Hash: hash(3)}}),
				tx.RecordImported(ctx, []db.ImportedRow{{Kind: db.LinkRow, Key: "4", Hash: hash(4)}}),
			)
		})
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET position = 0.5")
		dbtest.Exec(t, dsn, "UPDATE images SET placeholder = 'kept', alt = 'kept'")
		image = &db.Image{ID: 6, Type: "image", Name: "changed", Path: "a.png", Size: 6, Width: new(8), CreatedAt: timeOf(2), Thumbnails: []*db.Thumbnail{{ID: 214, ImageID: 6, Path: "u.png", Size: new(64)}}}
		importRows(func(ctx context.Context, tx db.ImportTx) error {
			user.Codes, user.IsActive = []int{9}, true
			link.Name = "changed"
			return firstError(
				tx.PutUsers(ctx, nil, []*db.User{user}),
				tx.PutImages(ctx, nil, []*db.Image{image}),
				tx.PutLinks(ctx, nil, []*db.PortfolioLink{link}),
			)
		})
		if diff := cmp.Diff(strings.TrimSpace(imported), importedRows(t, database)); diff != "" {
			t.Error(diff)
		}
		importRows(func(ctx context.Context, tx db.ImportTx) error { // another file, another portfolio
			image.Path, link.PortfolioID = "b.png", 1
			return firstError(tx.PutPortfolios(ctx, []*db.Portfolio{{ID: 1, UpdatedAt: timeOf(1)}}, nil),
				tx.PutImages(ctx, nil, []*db.Image{image}), tx.PutLinks(ctx, nil, []*db.PortfolioLink{link}))
		})
		checkImportedLink(t, database)
		if _, err := database.CreatePortfolio(t.Context(), "with another id"); err != nil {
			t.Error(err)
		}
		checkImportDeletes(t, database)
	})
}

func checkImportedLink(t *testing.T, database *db.DB) {
	t.Helper()
	stored, err := database.PortfolioLink(t.Context(), nil, 4)
	if err != nil || stored.StoredPosition != nil || stored.ImageData.Placeholder != nil || stored.ImageData.Alt == nil {
		t.Errorf("got link %+v, %v, want neither position nor placeholder, and alt", stored, err)
	}
	portfolio, err := database.Portfolio(t.Context(), 1)
	if err != nil || !portfolio.CreatedAt.IsZero() || portfolio.UpdatedAt.IsZero() {
		t.Errorf("got portfolio %+v, %v, want only updatedAt", portfolio, err)
	}
	first, err := database.ImportedKeys(t.Context(), db.LinkRow, "", 10)
	next, nextErr := database.ImportedKeys(t.Context(), db.LinkRow, "4", 10)
	if err != nil || nextErr != nil || !slices.Equal(first, []string{"4"}) || next != nil {
		t.Errorf("got keys %v, %v, then %v, %v, want [4], then none", first, err, next, nextErr)
	}
}

const imported = `
names map[sara:7]
user 7 sara true [9]
token 1
token 2
image 6 changed 6 8 kept kept [214 u.png 64]
link 4 changed 0.5
imported 4 0404
owners map[214:6] existing [6]
forgotten map[]
`

// importedRows describes all rows.
func importedRows(t *testing.T, database *db.DB) string {
	t.Helper()
	var text strings.Builder
	err := database.Import(t.Context(), func(ctx context.Context, tx db.ImportTx) error {
		text.Reset()
		ids, err := tx.UserIDs(ctx, []string{"sara", "omid"})
		if err != nil {
			return err
		}
		fmt.Fprintln(&text, "names", ids)
		users, err := tx.Users(ctx, []int64{1, 7})
		if err != nil {
			return err
		}
		for _, user := range users {
			fmt.Fprintln(&text, "user", user.ID, user.Username, user.IsActive, user.Codes)
		}
		tokens, err := tx.Tokens(ctx, [][]byte{slices.Repeat([]byte{1}, 32), slices.Repeat([]byte{2}, 32), slices.Repeat([]byte{3}, 32)})
		if err != nil {
			return err
		}
		for _, token := range tokens {
			fmt.Fprintln(&text, "token", token.ID)
		}
		images, err := tx.Images(ctx, []int64{5, 6})
		if err != nil {
			return err
		}
		for _, image := range images {
			thumbnail := image.Thumbnails[0]
			fmt.Fprintln(&text, "image", image.ID, image.Name, image.Size, *image.Width, *image.Placeholder, *image.Alt, fmt.Sprint("[", thumbnail.ID, " ", thumbnail.Path, " ", *thumbnail.Size, "]"))
		}
		links, err := tx.Links(ctx, []int64{4})
		if err != nil {
			return err
		}
		for _, link := range links {
			fmt.Fprintln(&text, "link", link.ID, link.Name, *link.StoredPosition)
		}
		return describeImported(ctx, tx, &text)
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(text.String())
}

func describeImported(ctx context.Context, tx db.ImportTx, text *strings.Builder) error {
	hashes, err := tx.ImportedHashes(ctx, db.LinkRow, []string{"4", "5", "6"})
	if err != nil {
		return err
	}
	for key, hash := range hashes {
		fmt.Fprintf(text, "imported %s %x\n", key, hash[:2])
	}
	owners, err := tx.ThumbnailOwners(ctx, []int64{213, 214})
	if err != nil {
		return err
	}
	existing, err := tx.Existing(ctx, db.ImageRow, []int64{5, 6})
	if err != nil {
		return err
	}
	fmt.Fprintln(text, "owners", owners, "existing", existing)
	if err := tx.ForgetImported(ctx, db.ImageRow, "6"); err != nil {
		return err
	}
	hashes, err = tx.ImportedHashes(ctx, db.ImageRow, []string{"6"})
	fmt.Fprintln(text, "forgotten", hashes)
	return err
}

// checkImportDeletes checks that a row is deleted only once nothing needs it.
func checkImportDeletes(t *testing.T, database *db.DB) {
	t.Helper()
	for _, c := range []struct {
		kind db.RowKind
		id   int64
		want bool
	}{
		{db.ImageRow, 6, false}, {db.PortfolioRow, 1, false}, {db.UserRow, 7, false}, {db.LinkRow, 5, false},
		{db.LinkRow, 4, true}, {db.ImageRow, 6, true}, {db.PortfolioRow, 1, true}, {db.TokenRow, 1, true}, {db.UserRow, 7, false},
		{db.TokenRow, 2, true}, {db.UserRow, 7, true}, {db.UserRow, 7, false},
	} {
		var got bool
		err := database.Import(t.Context(), func(ctx context.Context, tx db.ImportTx) (err error) {
			got, err = tx.Delete(ctx, c.kind, c.id)
			return err
		})
		if err != nil || got != c.want {
			t.Errorf("%s %d: got deleted %t, %v, want %t", c.kind, c.id, got, err, c.want)
		}
	}
}

// firstError returns the first error that is not nil.
func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// TestImport_StoresZeroTimes stores rows of the first second of the year 1, which is Go's
// zero time.
func TestImport_StoresZeroTimes(t *testing.T) {
	t.Parallel()
	hash := slices.Repeat([]byte{1}, 32)
	dbtest.Each(t, func(t *testing.T, database *db.DB) {
		var got []db.Time
		err := database.Import(t.Context(), func(ctx context.Context, tx db.ImportTx) error {
			err := firstError(
				tx.PutUsers(ctx, []*db.User{{ID: 1, Username: "sara"}}, nil),
				tx.CreateTokens(ctx, []*db.Token{{UserID: 1, KeyHash: hash}}),
				tx.PutPortfolios(ctx, []*db.Portfolio{{ID: 1}}, nil),
				tx.PutImages(ctx, []*db.Image{{ID: 1}}, nil),
				tx.PutLinks(ctx, []*db.PortfolioLink{{ID: 1, PortfolioID: 1}}, nil),
			)
			if err != nil {
				return err
			}
			users, usersErr := tx.Users(ctx, []int64{1})
			tokens, tokensErr := tx.Tokens(ctx, [][]byte{hash})
			portfolios, portfoliosErr := tx.Portfolios(ctx, []int64{1})
			images, imagesErr := tx.Images(ctx, []int64{1})
			links, linksErr := tx.Links(ctx, []int64{1})
			if err := firstError(usersErr, tokensErr, portfoliosErr, imagesErr, linksErr); err != nil {
				return err
			}
			got = []db.Time{
				users[0].CreatedAt, tokens[0].CreatedAt, portfolios[0].CreatedAt, portfolios[0].UpdatedAt,
				images[0].CreatedAt, links[0].CreatedAt, links[0].UpdatedAt,
			}
			return nil
		})
		if want := make([]db.Time, 7); err != nil || !slices.Equal(got, want) {
			t.Errorf("got times %v, %v, want %v", got, err, want)
		}
	})
}
