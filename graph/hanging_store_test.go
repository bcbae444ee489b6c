package graph_test

import (
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/images"
	"portfolio/internal/storage/storagetest"
)

// hangingCases are uploads to a store that never responds to the removal of a file, nor
// to a thumbnail of an image named hang.
func hangingCases(t *testing.T) []struct {
	name, want string
	parts      []part
} {
	t.Helper()
	const createLinks = `{"query":"mutation($in: CreatePortfolioLinksInput!) { createPortfolioLinks(input: $in) { portfolioLinks { id } } }","variables":{"in":{"links":[`
	scene := readImage(t, "scene.png")
	return []struct {
		name, want string
		parts      []part
	}{
		{"stored", `{"data":{"uploadImage":{"image":{"id":"`, []part{operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", scene)}},
		{"not stored", "File storage is unavailable. Try again later.", []part{operationsPart(uploadMutation), mapPart(uploadMap), filePart("hang.png", scene)}},
		{"the second is no image", "image must be a JPEG, PNG, GIF or WebP file.", []part{
			operationsPart(createLinks + `{"portfolioId":1,"name":"new","image":null},{"portfolioId":1,"name":"new","image":null}]}}}`),
			mapPart(`{"0":["variables.in.links.0.image"],"1":["variables.in.links.1.image"]}`), filePart("a.png", scene), {"1", "b.png", "<html>"},
		}},
		{"the rows are not written", "portfolioId does not exist.", []part{
			operationsPart(createLinks + `{"portfolioId":77,"name":"new","image":null}]}}}`),
			mapPart(`{"0":["variables.in.links.0.image"]}`), filePart("a.png", scene),
		}},
	}
}

// TestUpload_ReleasesSlotIfStoreHangs checks that a store which does not respond holds a slot no
// longer than UploadTimeout and the time limit of the clean-up, and does not hide the error.
func TestUpload_ReleasesSlotIfStoreHangs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long")
	}
	cases := hangingCases(t)
	dbtest.EachLoaded(t, uploadRows, func(t *testing.T, dsn string) {
		store, release := storagetest.HangingS3(t, func(r *http.Request) bool {
			return r.Method == http.MethodDelete || r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/thumbnails/hang")
		})
		service := images.New(store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20})
		server := newUploadServer(t, dsn, store, service)
		server.Client().Timeout = time.Minute
		uploads := admission.NewLimiter(len(cases), 0, time.Minute)
		server.Config.Handler = graphtest.NewHandler(t, &graph.Resolver{DB: server.database, Images: service}, func(o *graphtest.Options) {
			o.Admission.Uploads, o.UploadTimeout = uploads, 2*time.Second
		})
		t.Cleanup(release) // or a request that hangs keeps the server from closing
		t.Cleanup(func() {
			reserved, _ := service.Memory()
			if got := uploads.Stats().InUse; got != 0 || reserved != 0 {
				t.Errorf("%d slots and %d bytes are held after all responses, want none", got, reserved)
			}
		})
		dbtest.Exec(t, dsn, "INSERT INTO images (id, type, name, path, size) VALUES (600, 'image', 'a', 'a.png', 1)")
		var clients sync.WaitGroup // they wait for seconds
		for _, c := range cases {
			clients.Go(func() {
				if _, body := server.upload(t, staff4242, c.parts...); !strings.Contains(body, c.want) {
					t.Errorf("%s: got %s, want %s", c.name, body, c.want)
				}
			})
		}
		clients.Go(func() {
			const mutation = `mutation{deleteImage(input:{id:600}){image{id}}}`
			if _, body := graphtest.Query(t, server.Server, admin, mutation, nil); body != `{"data":{"deleteImage":{"image":{"id":"600"}}}}` {
				t.Errorf("an image is deleted: got %s, want the image", body)
			}
		})
		clients.Wait()
	})
}
