package graph_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph/graphtest"
	"portfolio/internal/images"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

// uploadNew uploads an image and returns its ID and the keys of its files, itself
// first.
func (s uploadServer) uploadNew(t *testing.T) (id string, keys []string) {
	t.Helper()
	const operations = `{"query":"mutation U($i: Upload!) { uploadImage(input: {image: $i}) { image { id url thumbnails { url } } } }","variables":{"i":null}}`
	_, body := s.upload(t, staff4242, operationsPart(operations), mapPart(uploadMap), filePart("scene.png", readImage(t, "scene.png")))
	type file struct{ URL string }
	var result struct {
		Data struct {
			UploadImage struct {
				Image struct {
					ID string
					file
					Thumbnails []file
				}
			}
		}
	}
	unmarshal(t, body, &result)
	image := result.Data.UploadImage.Image
	for _, file := range append([]file{image.file}, image.Thumbnails...) {
		keys = append(keys, strings.TrimPrefix(file.URL, "HOST"+storage.Prefix))
	}
	return image.ID, keys
}

func (s uploadServer) deleteImage(t *testing.T, id string) {
	t.Helper()
	if code := mutate(t, s.Server, `mutation($i:ID!){deleteImage(input:{id:$i}){deletedNodeId}}`, object{"i": id}, nil); code != "" {
		t.Errorf("delete image %s: %s", id, code)
	}
}

func (s uploadServer) checkKeys(t *testing.T, want ...string) {
	t.Helper()
	slices.Sort(want)
	if diff := cmp.Diff(want, storagetest.Keys(t, s.store)); diff != "" {
		t.Error("-want +got:\n" + diff)
	}
}

// eachStoreAndDatabase runs a subtest for each store and each kind of database.
func eachStoreAndDatabase(t *testing.T, test func(t *testing.T, store storage.Store, dsn string)) {
	t.Helper()
	for _, scheme := range []string{"sqlite", "postgres"} {
		t.Run(scheme, func(t *testing.T) {
			storagetest.Each(t, func(t *testing.T, store storage.Store) {
				dsn := map[string]func(testing.TB, string) string{"sqlite": dbtest.LoadedSQLite, "postgres": dbtest.LoadedPostgres}[scheme](t, uploadRows)
				test(t, store, dsn)
			})
		})
	}
}

// TestDeleteImage_RemovesUnusedFiles checks that the files of deleted images are removed unless
// other rows refer to them.
func TestDeleteImage_RemovesUnusedFiles(t *testing.T) {
	eachStoreAndDatabase(t, func(t *testing.T, store storage.Store, dsn string) {
		server := newUploadServer(t, dsn, store, images.New(store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20}))
		first, firstKeys := server.uploadNew(t)
		second, secondKeys := server.uploadNew(t)
		server.checkKeys(t, append(firstKeys, secondKeys...)...)
		dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size) VALUES (900, 'image', 'loaded', '//"+firstKeys[0]+"', 1), (901, 'image', 'no file', '', 0)")
		dbtest.Exec(t, dsn, "INSERT INTO thumbnails (id, image_id, path) VALUES (900, "+second+", '"+firstKeys[1]+"'), (901, "+second+", '"+firstKeys[1]+"')")
		server.deleteImage(t, first)
		server.checkKeys(t, append(secondKeys, firstKeys[:2]...)...)
		server.deleteImage(t, second)
		server.checkKeys(t, firstKeys[0])
		server.deleteImage(t, "901")
		server.checkKeys(t, firstKeys[0])
		server.deleteImage(t, "900")
		server.checkKeys(t, []string{}...)
		if _, rows := server.countStored(t); rows != 0 {
			t.Errorf("%d rows are left", rows)
		}
	})
}

// unremovable is a store that fails to remove files.
type unremovable struct{ storage.Store }

func (unremovable) Remove(context.Context, string) error { return errors.New("no access") }

// TestDeleteImage_LeavesFilesToGarbageCollection checks that an image is deleted although its
// files cannot be removed or the server is killed before that, and that garbage collection removes
// them.
func TestDeleteImage_LeavesFilesToGarbageCollection(t *testing.T) {
	eachStoreAndDatabase(t, func(t *testing.T, store storage.Store, dsn string) {
		var logs bytes.Buffer
		service := images.New(unremovable{store}, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20, Log: slog.New(slog.NewJSONHandler(&logs, nil))})
		server := newUploadServer(t, dsn, store, service)
		kept, keptKeys := server.uploadNew(t)
		deleted, deletedKeys := server.uploadNew(t)
		killed, killedKeys := server.uploadNew(t)
		server.deleteImage(t, deleted)
		for _, key := range deletedKeys {
			if !strings.Contains(logs.String(), key) {
				t.Errorf("%s is not logged: %s", key, logs.String())
			}
		}
		var id int64
		_, _ = fmt.Sscan(killed, &id)
		if _, files, err := server.database.DeleteImage(t.Context(), id, false); err != nil || len(files) != filesOfImage { // the kill
			t.Errorf("%q, %v", files, err)
		}
		server.checkKeys(t, slices.Concat(keptKeys, deletedKeys, killedKeys)...)
		collector := images.GarbageCollector{Database: server.database, Store: store, Delete: true, Output: new(bytes.Buffer)}
		if err := collector.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		server.checkKeys(t, keptKeys...)
		if code := mutate(t, server.Server, `query($i:ID!){image(id:$i){id}}`, object{"i": kept}, nil); code != "" {
			t.Error(code)
		}
	})
}

// TestDeleteImage_ConcurrentlyWithNewLinks deletes images while links are created with them
// and updated to them: a link either has its image or is refused.
func TestDeleteImage_ConcurrentlyWithNewLinks(t *testing.T) {
	t.Parallel()
	dbtest.EachLoaded(t, recorded, func(t *testing.T, dsn string) {
		t.Parallel()
		dbtest.Exec(t, dsn, "UPDATE portfolio_links SET image_id = NULL")
		dbtest.Exec(t, dsn, "DELETE FROM images WHERE id > 999")
		database := dbtest.Open(t, dsn)
		server := graphtest.Serve(t, database, nil)
		var created [25]int64
		for i := range created {
			image := &db.Image{Type: "image", Name: "x"}
			if err := database.CreateImage(t.Context(), image); err != nil {
				t.Fatal(err)
			}
			created[i] = image.ID
		}
		var codes [100]string
		concurrently(func(i int) {
			image := created[i/4]
			mutation, input := "createPortfolioLink", object{"portfolioId": 1, "name": "x", "imageId": image}
			switch i % 4 {
			case 1:
				mutation, input = "updatePortfolioLink", object{"id": 100 + i/4, "imageId": image}
			case 2, 3:
				mutation, input = "deleteImage", object{"id": image, "force": i%4 == 3}
			}
			codes[i] = mutate(t, server, "mutation($i: "+inputType(mutation)+"!) {"+mutation+"(input: $i) {__typename}}", object{"i": input}, nil)
		})
		for i, image := range created {
			got := codes[4*i : 4*i+4]
			want := [][]string{{"", "BAD_USER_INPUT"}, {"", "BAD_USER_INPUT"}, {"", "CONFLICT", "NOT_FOUND"}, {"", "NOT_FOUND"}}
			for j, code := range got {
				if !slices.Contains(want[j], code) {
					t.Errorf("image %d: codes %q", image, got)
				}
			}
			if (got[2] == "") == (got[3] == "") {
				t.Errorf("image %d was deleted twice or never: %q", image, got)
			}
			if got[2] == "" && (got[0] == "" || got[1] == "") {
				t.Errorf("image %d was deleted although a link uses it: %q", image, got)
			}
		}
	})
}
