package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/admission"
	"portfolio/internal/images"
	"portfolio/internal/storage"
	"portfolio/internal/storage/storagetest"
)

const (
	maxUpload    = 20_000 // bytes
	filesOfImage = 5      // an image and its thumbnails

	uploadMutation = `{"query":"mutation U($i: Upload!) { uploadImage(input: {image: $i}) { image { ...F } } } fragment F on Image { id }","variables":{"i":null}}`
	uploadMap      = `{"0":["variables.i"]}`
)

// uploadServer is a server that accepts images.
type uploadServer struct {
	*httptest.Server
	store    storage.Store
	database *db.DB
	dsn      string
	tempDir  string // of files while they are received
}

// eachUploadServer runs a subtest for each kind of database. The subtests are not
// parallel, because they set TMPDIR.
func eachUploadServer(t *testing.T, test func(t *testing.T, server uploadServer)) {
	t.Helper()
	dbtest.EachLoaded(t, uploadRows, func(t *testing.T, dsn string) {
		tempDir := t.TempDir()
		t.Setenv("TMPDIR", tempDir)
		store := storagetest.Directory(t)
		server := newUploadServer(t, dsn, store, images.New(store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20}))
		server.tempDir = tempDir
		test(t, server)
	})
}

// newUploadServer starts a server whose service stores images in store.
func newUploadServer(t *testing.T, dsn string, store storage.Store, service *images.Service) uploadServer {
	t.Helper()
	database := dbtest.Open(t, dsn)
	mux := http.NewServeMux()
	mux.Handle("/", graphtest.NewHandler(t, &graph.Resolver{DB: database, Images: service}, nil))
	mux.Handle(storage.Prefix, store.Handler(slog.New(slog.DiscardHandler)))
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	return uploadServer{Server: server, store: store, database: database, dsn: dsn}
}

// part is a part of a multipart request, and a file if it has a filename.
type part struct{ name, filename, content string }

func operationsPart(content string) part { return part{"operations", "", content} }

func mapPart(content string) part { return part{"map", "", content} }

func filePart(filename, content string) part { return part{"0", filename, content} }

// rawPart returns the start of a part up to its content, with the boundary b.
func rawPart(name string) string {
	return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n"
}

func (s uploadServer) upload(t *testing.T, authorization string, parts ...part) (*http.Response, string) {
	t.Helper()
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	for _, part := range parts {
		header := textproto.MIMEHeader{"Content-Disposition": {multipart.FileContentDisposition(part.name, part.filename)}}
		if part.filename == "" {
			header.Set("Content-Disposition", `form-data; name="`+part.name+`"`)
		}
		w, err := form.CreatePart(header)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(w, part.content)
	}
	if err := form.Close(); err != nil {
		t.Fatal(err)
	}
	return s.send(t, authorization, form.FormDataContentType(), body.Bytes())
}

func (s uploadServer) send(t *testing.T, authorization, contentType string, body []byte) (*http.Response, string) {
	t.Helper()
	header := http.Header{"Content-Type": {contentType}}
	if authorization != "" {
		header.Set("Authorization", authorization)
	}
	return graphtest.Send(t, s.Server, http.MethodPost, "", header, body)
}

// countStored returns the number of stored files, and of files that the database
// refers to.
func (s uploadServer) countStored(t *testing.T) (files, rows int) {
	t.Helper()
	for _, err := range s.store.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		files++
	}
	for _, err := range s.database.FileRefs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	return files, rows
}

// assertNoTempFiles checks that all temporary files have been removed.
func (s uploadServer) assertNoTempFiles(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(s.tempDir); err != nil || len(left) > 0 {
		t.Errorf("temporary files: %v, %v", left, err)
	}
}

func readImage(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../internal/imaging/testdata/images/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestUpload_StoresImages uploads two images in one request, requests all their URLs, and then
// reads one of the images through a link.
func TestUpload_StoresImages(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	const (
		fields = `{ type name alt size humanReadableSize url width height mode mimeType placeholder srcset ` +
			`small: thumbnail(size: 65) { size } large: thumbnail(size: 1081) { size } thumbnails { url size width height fileSize } }`
		operations = `{"query":"mutation U($in: UploadImageInput!, $i: Upload!) { a: uploadImage(input: $in) { image ` + fields +
			` } b: uploadImage(input: {image: $i}) { image ` + fields + ` } }","variables":{"in":{"image":null,"alt":"Four colors"},"i":null}}`
	)
	varying := regexp.MustCompile(`(core_media/)[0-9/]{10}|((?:cmyk|rgba)_)[A-Z2-7]{7}|("placeholder":")[^"]{20,40}|("fileSize":)[1-9][0-9]+`)
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		response, body := server.upload(t, staff4242, operationsPart(operations),
			mapPart(`{"first":["variables.in.image"],"second":["variables.i"]}`),
			part{"first", "cmyk.jpeg", readImage(t, "cmyk.jpg")}, part{"second", "../rgba.jpg", readImage(t, "rgba.png")})
		golden.Check(t, "images", response, varying.ReplaceAllString(body, "$1$2$3$4*"))
		urls := regexp.MustCompile(`HOST(/media/[^" ]+)`).FindAllStringSubmatch(body, -1)
		if len(urls) != 16 { // of each image: itself twice, two thumbnails twice and two once
			t.Errorf("%d URLs", len(urls))
		}
		for _, url := range urls {
			if response, _ := graphtest.Send(t, server.Server, http.MethodGet, url[1], nil, nil); response.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", url[1], response.StatusCode)
			}
		}
		dbtest.Exec(t, server.dsn, "UPDATE portfolio_links SET image_id = (SELECT max(id) FROM images WHERE name = 'cmyk') WHERE id = 4")
		_, linked := graphtest.Query(t, server.Server, admin, `{portfolioLink(id:4){imageData`+fields+`}}`, nil)
		uploaded, _ := strings.CutPrefix(body, `{"data":{"a":{"image":`)
		uploaded, _, _ = strings.Cut(uploaded, `},"b":`)
		if diff := cmp.Diff(`{"data":{"portfolioLink":{"imageData":`+uploaded+`}}}`, linked); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
		server.assertNoTempFiles(t)
	})
}

// TestImages_OfLegacyRowsLackColumns reads images without the columns that the legacy system
// did not have.
func TestImages_OfLegacyRowsLackColumns(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	const query = `{portfolioLink(id:%d){imageData{mimeType placeholder srcset thumbnail(size:100){size} thumbnails{width height fileSize}}}}`
	graphtest.EachCached(t, recorded, func(t *testing.T, server *httptest.Server) {
		for _, c := range []struct {
			name string
			id   int
		}{{"thumbnails without a width", 4}, {"no thumbnails", 13}} {
			response, body := graphtest.Query(t, server, admin, fmt.Sprintf(query, c.id), nil)
			golden.Check(t, c.name, response, body)
		}
	})
}

// TestUpload_StoresLinkWithImage creates and updates links with a new image: the link, its image
// and the files are stored together or not at all.
func TestUpload_StoresLinkWithImage(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	fileMap, image := mapPart(`{"0":["variables.in.image"]}`), filePart("scene.png", readImage(t, "scene.png"))
	cases := []struct {
		name, field, input string
		file               part
		stored             int // files
	}{
		{"create a link", "createPortfolioLink", `"portfolioId":1,"name":"new"`, image, filesOfImage},
		{"update a link", "updatePortfolioLink", `"id":4`, image, filesOfImage},
		{"create a link of a missing portfolio", "createPortfolioLink", `"portfolioId":77,"name":"new"`, image, 0},
		{"create a link with a blank name", "createPortfolioLink", `"portfolioId":1,"name":" "`, image, 0},
		{"update a missing link", "updatePortfolioLink", `"id":999`, image, 0},
		{"update a link that has changed", "updatePortfolioLink", `"id":4,"expectedUpdatedAt":"2001-01-01T00:00:00Z"`, image, 0},
		{"HTML file", "createPortfolioLink", `"portfolioId":1,"name":"new"`, filePart("a.png", "<html>"), 0},
		{"image and imageId", "createPortfolioLink", `"portfolioId":1,"name":"new","imageId":1`, image, 0},
	}
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				operations := `{"query":"mutation($in: ` + inputType(c.field) + `!) { ` + c.field + `(input: $in) ` +
					`{ portfolioLink { name imageData { name width thumbnails { size } } } } }","variables":{"in":{` + c.input + `,"image":null}}}`
				filesBefore, rowsBefore := server.countStored(t)
				response, body := server.upload(t, staff4242, operationsPart(operations), fileMap, c.file)
				golden.Check(t, c.name, response, body)
				if files, rows := server.countStored(t); files-filesBefore != c.stored || rows-rowsBefore != c.stored {
					t.Errorf("%d files and %d rows were stored", files-filesBefore, rows-rowsBefore)
				}
			})
		}
		_, body := graphtest.Query(t, server.Server, staff4242, `{portfolioLinks(filter:{search:"new"}){totalCount nodes{name}}}`, nil)
		if want := `{"data":{"portfolioLinks":{"totalCount":1,"nodes":[{"name":"new"}]}}}`; body != want {
			t.Errorf("links: %s", body)
		}
	})
}

// TestUpload_StoresLinksWithImages creates links of which some have a new image: they are stored
// together or not at all.
func TestUpload_StoresLinksWithImages(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	fileMap := mapPart(`{"0":["variables.in.links.0.image"],"2":["variables.in.links.2.image"]}`)
	png, jpeg, html := readImage(t, "scene.png"), readImage(t, "cmyk.jpg"), "<html>"
	cases := []struct {
		name, links string
		second      string // content of the second file
		stored      int    // files
	}{
		{"two images", `{"portfolioId":1,"name":"new","image":null},{"portfolioId":1,"name":"new"},{"portfolioId":1,"name":"new","image":null}`, jpeg, 2 * filesOfImage},
		{"one invalid image", `{"portfolioId":1,"name":"new","image":null},{"portfolioId":1,"name":"new"},{"portfolioId":1,"name":"new","image":null}`, html, 0},
		{"one missing portfolio", `{"portfolioId":1,"name":"new","image":null},{"portfolioId":1,"name":"new"},{"portfolioId":77,"name":"new","image":null}`, jpeg, 0},
		{"one image and imageId", `{"portfolioId":1,"name":"new","image":null},{"portfolioId":1,"name":"new"},{"portfolioId":1,"name":"new","imageId":12,"image":null}`, jpeg, 0},
	}
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				operations := `{"query":"mutation($in: CreatePortfolioLinksInput!) { createPortfolioLinks(input: $in) ` +
					`{ portfolioLinks { name imageData { name width thumbnails { size } } } } }","variables":{"in":{"links":[` + c.links + `]}}}`
				filesBefore, rowsBefore := server.countStored(t)
				response, body := server.upload(t, staff4242, operationsPart(operations), fileMap, part{"0", "a.png", png}, part{"2", "b.jpeg", c.second})
				golden.Check(t, c.name, response, body)
				if files, rows := server.countStored(t); files-filesBefore != c.stored || rows-rowsBefore != c.stored {
					t.Errorf("%d files and %d rows were stored", files-filesBefore, rows-rowsBefore)
				}
			})
		}
		_, body := graphtest.Query(t, server.Server, staff4242, `{portfolioLinks(filter:{name:"new"}){totalCount}}`, nil)
		if want := `{"data":{"portfolioLinks":{"totalCount":3}}}`; body != want {
			t.Errorf("links: %s", body)
		}
		server.assertNoTempFiles(t)
	})
}

// TestUpload_KeepsItsSlot checks that an upload which selects more than its image
// does not move to a heavy slot: image processing must not delay searches.
func TestUpload_KeepsItsSlot(t *testing.T) {
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		resolver := &graph.Resolver{DB: server.database, Images: images.New(server.store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20})}
		server.Config.Handler = graphtest.NewHandler(t, resolver, func(o *graphtest.Options) {
			o.Admission.Heavy = admission.NewLimiter(0, 0, time.Minute)
		})
		operations := `{"query":"mutation($in: UpdatePortfolioLinkInput!) { updatePortfolioLink(input: $in) ` +
			`{ portfolioLink { portfolio { links { totalCount } } } } }","variables":{"in":{"id":4,"image":null}}}`
		response, body := server.upload(t, staff4242, operationsPart(operations), mapPart(`{"0":["variables.in.image"]}`), filePart("scene.png", readImage(t, "scene.png")))
		if response.StatusCode != http.StatusOK || !strings.Contains(body, `"totalCount":`) {
			t.Errorf("%s %s", response.Status, body)
		}
	})
}

// TestUpload_LeavesNoFilesOnFailure checks that no file is left of an image whose rows cannot be
// written.
func TestUpload_LeavesNoFilesOnFailure(t *testing.T) {
	const want = `{"errors":[{"message":"Internal error.","path":["uploadImage"],"locations":[{"line":1,"column":27}],` +
		`"extensions":{"code":"INTERNAL"}}],"data":{"uploadImage":null}}`
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		dbtest.Exec(t, server.dsn, "ALTER TABLE thumbnails RENAME COLUMN file_size TO bytes")
		_, body := server.upload(t, admin, operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", readImage(t, "scene.png")))
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error("-want +got:\n" + diff)
		}
		if files, _ := server.countStored(t); files != 0 {
			t.Errorf("%d files are left", files)
		}
	})
}

// TestUpload_CompletesIfClientDisconnects cancels a request while the rows of an image are written:
// they are written nevertheless, because the files are stored already.
func TestUpload_CompletesIfClientDisconnects(t *testing.T) {
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		ctx, cancel := context.WithCancel(t.Context())
		service := images.New(server.store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20})
		_, err := service.Save(ctx, "a.png", strings.NewReader(readImage(t, "scene.png")), func(ctx context.Context, image *db.Image) error {
			cancel()
			return server.database.CreateImage(ctx, image)
		})
		if files, rows := server.countStored(t); err != nil || files != filesOfImage || rows != filesOfImage {
			t.Errorf("%d files, %d rows, %v", files, rows, err)
		}
	})
}

// FuzzMultipart sends arbitrary multipart bodies: the response is always JSON and
// never an internal error.
func FuzzMultipart(f *testing.F) {
	dsn := dbtest.LoadedSQLite(f, uploadRows)
	store, err := storage.Open(f.Context(), "file:"+f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	database := dbtest.Open(f, dsn)
	handler := graphtest.NewHandler(f, &graph.Resolver{DB: database, Images: images.New(store, images.Options{MaxBytes: maxUpload, MaxMemory: 512 << 20})}, nil)
	f.Add([]byte(rawPart("operations") + uploadMutation + "\r\n" + rawPart("map") + uploadMap + "\r\n" + rawPart("0") + "GIF89a\r\n--b--\r\n"))
	f.Add([]byte(rawPart("operations") + `{"query":"{viewer{id}}","variables":{"l":[{"a":null}]}}` + "\r\n" +
		rawPart("map") + `{"0":["variables.l.0.a"]}` + "\r\n" + rawPart("0") + "\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		request := newRequest(t, admin, body)
		request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "INTERNAL") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}
