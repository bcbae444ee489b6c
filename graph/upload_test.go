package graph_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"net/textproto"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/db"
	"portfolio/db/dbtest"
	"portfolio/graph"
	"portfolio/graph/graphtest"
	"portfolio/internal/images"
	"portfolio/internal/storage"
)

const maxUpload = 20_000 // bytes

// uploads is a server that takes pictures.
type uploads struct {
	*httptest.Server
	store    storage.Store
	database *db.DB
	dsn      string
	spool    string // the folder of what is being received
}

func eachUploads(t *testing.T, test func(t *testing.T, server uploads)) {
	t.Helper()
	dbtest.EachURL(t, func(t *testing.T, dsn string) {
		dbtest.LoadFile(t, dsn, "testdata/uploads.json")
		spool := t.TempDir()
		t.Setenv("TMPDIR", spool)
		store, err := storage.Open("file:" + t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = store.Close() })
		database := dbtest.Open(t, dsn)
		resolver := &graph.Resolver{DB: database, Images: images.NewService(store, maxUpload, 512<<20)}
		handler := graphtest.NewHandler(t, resolver, nil)
		mux := http.NewServeMux()
		mux.Handle("/", handler)
		mux.Handle(storage.Prefix, store.Handler())
		server := httptest.NewServer(mux)
		t.Cleanup(server.Close)
		test(t, uploads{server, store, database, dsn, spool})
	})
}

// part is one of a multipart form; a file where filename is set.
type part struct{ name, filename, content string }

const uploadMutation = `{"query":"mutation U($i: Upload!) { uploadImage(input: {image: $i}) { image { ...F } } } fragment F on Image { id }","variables":{"i":null}}`

func (u uploads) upload(t *testing.T, key string, parts ...part) (*http.Response, string) {
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
	return u.send(t, key, form.FormDataContentType(), body.Bytes())
}

func (u uploads) send(t *testing.T, key, contentType string, body []byte) (*http.Response, string) {
	t.Helper()
	header := http.Header{"Content-Type": {contentType}}
	if key != "" {
		header.Set("Authorization", "Token "+key)
	}
	return graphtest.Send(t, u.Server, http.MethodPost, "", header, body)
}

// count is how many files and rows of pictures there are.
func (u uploads) count(t *testing.T) (files, rows int) {
	t.Helper()
	for _, err := range u.store.Files(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		files++
	}
	for _, err := range u.database.FileRefs(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		rows++
	}
	return files, rows
}

func picture(t *testing.T, name string) string {
	t.Helper()
	content, err := os.ReadFile("../internal/imaging/testdata/images/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// TestUpload uploads two pictures by one request, and then asks for one by a
// link: every field, and every address answers.
func TestUpload(t *testing.T) {
	const (
		golden = "testdata/upload.json"
		fields = `{ type name size humanReadableSize url width height mode mimeType placeholder srcset ` +
			`small: thumbnail(size: 65) { size } large: thumbnail(size: 1081) { size } thumbnails { url size width height fileSize } }`
	)
	golden2 := graphtest.OpenGolden(t)
	varying := regexp.MustCompile(`(core_media/)[0-9/]{10}|("placeholder":")[^"]{20,40}|("fileSize":)[1-9][0-9]+`)
	eachUploads(t, func(t *testing.T, server uploads) {
		response, body := server.upload(t, graphtest.Staff4242,
			part{"operations", "", `{"query":"mutation U($in: UploadImageInput!, $i: Upload!) { a: uploadImage(input: $in) { image ` + fields +
				` } b: uploadImage(input: {image: $i}) { image ` + fields + ` } }","variables":{"in":{"image":null},"i":null}}`},
			part{"map", "", `{"first":["variables.in.image"],"second":["variables.i"]}`},
			part{"first", "cmyk.jpeg", picture(t, "cmyk.jpg")},
			part{"second", "../rgba.jpg", picture(t, "rgba.png")})
		status := response.StatusCode
		golden2.Check(t, "images", response, varying.ReplaceAllString(body, "$1$2$3*"))
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), varying.ReplaceAllString(body, "$1$2$3*")+"\n"); status != http.StatusOK || diff != "" {
			t.Fatalf("%d %s", status, diff)
		}
		addresses := regexp.MustCompile(`HOST(/media/[^" ]+)`).FindAllStringSubmatch(body, -1)
		if len(addresses) != 16 { // of each the picture twice, two thumbnails twice and two once
			t.Errorf("%d addresses", len(addresses))
		}
		for _, address := range addresses {
			if response, _ := graphtest.Send(t, server.Server, http.MethodGet, address[1], nil, nil); response.StatusCode != http.StatusOK {
				t.Errorf("%s: %d", address[1], response.StatusCode)
			}
		}
		dbtest.Exec(t, server.dsn, "UPDATE portfolio_links SET image_id = (SELECT max(id) FROM images WHERE name = 'cmyk') WHERE id = 4")
		_, linked := graphtest.Query(t, server.Server, "Token "+graphtest.Admin, `{portfolioLink(id:4){imageData`+fields+`}}`, nil)
		uploaded, _ := strings.CutPrefix(body, `{"data":{"a":{"image":`)
		uploaded, _, _ = strings.Cut(uploaded, `},"b":`)
		if diff := cmp.Diff(`{"data":{"portfolioLink":{"imageData":`+uploaded+`}}}`, linked); diff != "" {
			t.Error(diff)
		}
		server.leavesNothing(t)
	})
}

// leavesNothing reports files that are still being received.
func (u uploads) leavesNothing(t *testing.T) {
	t.Helper()
	if left, err := os.ReadDir(u.spool); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

// TestImageOfLegacyRows shows what is known of thumbnails that came without
// their width.
func TestImageOfLegacyRows(t *testing.T) {
	const query = `{portfolioLink(id:%d){imageData{mimeType placeholder srcset thumbnail(size:100){size} thumbnails{width height fileSize}}}}`
	thumbnail := func(size int) string {
		return fmt.Sprintf("HOST/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_%dx%d.jpg", size, size)
	}
	golden := graphtest.OpenGolden(t)
	graphtest.Each(t, recorded, func(t *testing.T, server *httptest.Server) {
		for id, want := range map[int]string{
			4: `{"mimeType":null,"placeholder":null,"srcset":"` + thumbnail(64) + ` 64w, ` + thumbnail(128) + ` 128w, ` +
				`HOST/media/core_media/2025/12/02/technology.png 225w","thumbnail":{"size":128},"thumbnails":[` +
				strings.Repeat(`,{"width":null,"height":null,"fileSize":null}`, 4)[1:] + `]}`,
			13: `{"mimeType":null,"placeholder":null,"srcset":null,"thumbnail":null,"thumbnails":[]}`,
		} {
			response, body := graphtest.Query(t, server, "Token "+graphtest.Admin, fmt.Sprintf(query, id), nil)
			golden.Check(t, map[int]string{4: "thumbnails without a width", 13: "no thumbnails"}[id], response, body)
			if diff := cmp.Diff(`{"data":{"portfolioLink":{"imageData":`+want+`}}}`, body); diff != "" {
				t.Error(diff)
			}
		}
	})
}

// TestUploadRefused sends what is not a request with pictures: a clear answer,
// no file, no row.
func TestUploadRefused(t *testing.T) {
	const (
		map1    = `{"0":["variables.i"]}`
		refused = `{"errors":[{"message":"%s","extensions":{"code":"BAD_USER_INPUT"}}]}`
		inField = `{"errors":[{"message":"%[1]s","path":["uploadImage"],"locations":[{"line":1,"column":27}],"extensions":{"code":"%[3]s"%[2]s}}],"data":{"uploadImage":null}}`
	)
	operations, mapping, file := part{"operations", "", uploadMutation}, part{"map", "", map1}, part{"0", "a.png", picture(t, "scene.png")}
	manyParts := []part{operations, mapping, file}
	for range 10_000 {
		manyParts = append(manyParts, part{"0", "a.png", "x"})
	}
	manyFiles := strings.TrimSuffix(strings.Repeat(`"variables.i",`, 11), ",")
	deep := strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000)
	badInput := func(message string) string { return fmt.Sprintf(refused, message) }
	order := func(name string) string {
		return badInput("The parts must be operations, map and then the files, but " + name + " is missing.")
	}
	const forbidden = `{"errors":[{"message":"You do not have permission to do this.","extensions":{"code":"FORBIDDEN"}}]}`
	noFile := badInput("The map has a path that is not a file of the operation.")
	notNull := badInput("The map has a path that is not null in the variables, or has it twice.")
	cases := []struct {
		name, key string
		parts     []part
		status    int
		want      string
	}{
		{"nothing", graphtest.Admin, nil, 400, order("operations")},
		{"no operations", graphtest.Admin, []part{mapping, file}, 400, order("operations")},
		{"no map", graphtest.Admin, []part{operations}, 400, order("map")},
		{"map after the file", graphtest.Admin, []part{operations, file, mapping}, 400, order("map")},
		{"no file", graphtest.Admin, []part{operations, mapping}, 400, badInput("A file of the map is missing.")},
		{"another file", graphtest.Admin, []part{operations, mapping, {"1", "a.png", "x"}}, 400, badInput("Unexpected part: its name is not in the map, or it was already sent.")},
		{"two files", graphtest.Admin, []part{operations, mapping, file, file}, 400, badInput("Unexpected part after the files of the map.")},
		{"10,000 parts", graphtest.Admin, manyParts, 400, badInput("Unexpected part after the files of the map.")},
		{"operations of no JSON", graphtest.Admin, []part{{"operations", "", "x"}, mapping, file}, 400, badInput("The body must be one JSON object with a query, and may have operationName, variables and extensions.")},
		{"a batch", graphtest.Admin, []part{{"operations", "", "[" + uploadMutation + "]"}, mapping, file}, 400, badInput("The body must be one JSON object with a query, and may have operationName, variables and extensions.")},
		{"deep variables", graphtest.Admin, []part{{"operations", "", `{"query":"{viewer{id}}","variables":{"i":` + deep + `}}`}, mapping, file}, 400, badInput("The variables and extensions may have at most 50 levels.")},
		{"no query", graphtest.Admin, []part{{"operations", "", `{"variables":{"i":null}}`}, mapping, file}, 400, badInput("The request has no query.")},
		{"no variables", graphtest.Admin, []part{{"operations", "", `{"query":"{viewer{id}}"}`}, mapping, file}, 400, notNull},
		{"map of no JSON", graphtest.Admin, []part{operations, {"map", "", "x"}, file}, 400, badInput("The part map must be a JSON object of lists of paths.")},
		{"map of numbers", graphtest.Admin, []part{operations, {"map", "", `{"0":[1]}`}, file}, 400, badInput("The part map must be a JSON object of lists of paths.")},
		{"map of no path", graphtest.Admin, []part{operations, {"map", "", `{"0":[]}`}, file}, 400, badInput("The map has a part without a path.")},
		{"map of many paths", graphtest.Admin, []part{operations, {"map", "", `{"0":[` + manyFiles + `]}`}, file}, 400, badInput("The map may have at most 10 files.")},
		{"an empty map", graphtest.Admin, []part{{"operations", "", `{"query":"{viewer{id}}"}`}, {"map", "", `{}`}, file}, 400, badInput("Unexpected part after the files of the map.")},
		{"a path twice", graphtest.Admin, []part{operations, {"map", "", `{"0":["variables.i"],"1":["variables.i"]}`}, file}, 400, notNull},
		{"a path out of range", graphtest.Admin, []part{{"operations", "", `{"query":"{viewer{id}}","variables":{"i":[null]}}`}, {"map", "", `{"0":["variables.i.1"]}`}, file}, 400, notNull},
		{"a path below null", graphtest.Admin, []part{operations, {"map", "", `{"0":["variables.i.x"]}`}, file}, 400, notNull},
		{"a path that is not there", graphtest.Admin, []part{operations, {"map", "", `{"0":["variables.j"]}`}, file}, 400, notNull},
		{"a path outside", graphtest.Admin, []part{operations, {"map", "", `{"0":["query"]}`}, file}, 400, notNull},
		{"the variables themselves", graphtest.Admin, []part{operations, {"map", "", `{"0":["variables"]}`}, file}, 400, notNull},
		{"large operations", graphtest.Admin, []part{{"operations", "", strings.Repeat("x", 1<<20+1)}, mapping, file}, 413, badInput("The part operations may have at most 1048576 bytes.")},
		{"a large map", graphtest.Admin, []part{operations, {"map", "", strings.Repeat("x", 16<<10+1)}, file}, 413, badInput("The part map may have at most 16384 bytes.")},
		{"a large file", graphtest.Admin, []part{operations, mapping, {"0", "a.png", strings.Repeat("x", maxUpload+1)}}, 413, badInput("variables.i may have at most 20000 bytes.")},
		{"large headers", graphtest.Admin, []part{operations, mapping, {"0", strings.Repeat("x", 100<<10), "x"}}, 400, badInput("The body is not well-formed multipart/form-data.")},

		{"no picture", graphtest.Admin, []part{operations, mapping, {"0", "a.jpg", "<html>"}}, 200, fmt.Sprintf(inField, "image must be a JPEG, PNG, GIF or WebP picture.", `,"field":["input","image"]`, "BAD_USER_INPUT")},
		{"half a picture", graphtest.Admin, []part{operations, mapping, {"0", "a.jpg", picture(t, "cmyk.jpg")[:2000]}}, 200, fmt.Sprintf(inField, "image is corrupt or truncated.", `,"field":["input","image"]`, "BAD_USER_INPUT")},
		{"zero bytes", graphtest.Admin, []part{operations, mapping, {"0", "a.jpg", ""}}, 200, fmt.Sprintf(inField, "image must be a JPEG, PNG, GIF or WebP picture.", `,"field":["input","image"]`, "BAD_USER_INPUT")},
		{"not permitted", graphtest.Staff, []part{operations, mapping, file}, 200, forbidden},
		{"not permitted, in a fragment", graphtest.Staff, []part{{"operations", "", strings.Replace(uploadMutation, "{ uploadImage(input: {image: $i}) { image { ...F } } }", "{ ...on Mutation { a: uploadImage(input: {image: $i}) { image { ...F } } } }", 1)}, mapping, file}, 200, forbidden},
		{"a file of no operation", graphtest.Staff, []part{{"operations", "", `{"query":"{viewer{id}}","variables":{"i":null}}`}, mapping, file}, 400, noFile},
		{"a file for a text", graphtest.Admin, []part{{"operations", "", `{"query":"query($i:String!){__type(name:$i){name}}","variables":{"i":null}}`}, mapping, file}, 400, noFile},
		{"a file for a field of a text", graphtest.Admin, []part{{"operations", "", `{"query":"mutation($i:CreatePortfolioLinkInput!){createPortfolioLink(input:$i){portfolioLink{id}}}","variables":{"i":{"portfolioId":1,"name":{"x":null}}}}`}, {"map", "", `{"0":["variables.i.name.x"]}`}, file}, 400, noFile},
		{"anonymous", "", []part{operations, mapping, file}, 401, `{"errors":[{"message":"Authentication is required.","extensions":{"code":"UNAUTHENTICATED"}}]}`},
	}
	golden := graphtest.OpenGolden(t)
	eachUploads(t, func(t *testing.T, server uploads) {
		files, rows := server.count(t)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := server.upload(t, c.key, c.parts...)
				status := response.StatusCode
				golden.Check(t, c.name, response, body)
				if diff := cmp.Diff(c.want, body); status != c.status || diff != "" {
					t.Errorf("%d %s", status, diff)
				}
			})
		}
		for name, c := range map[string]struct{ contentType, body, want string }{
			"no boundary": {"multipart/form-data", "x", badInput("The body is not well-formed multipart/form-data.")},
			"cut off": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n{",
				badInput("The part operations is truncated.")},
			"cut off file": {"multipart/form-data; boundary=b", "--b\r\nContent-Disposition: form-data; name=\"operations\"\r\n\r\n" + uploadMutation +
				"\r\n--b\r\nContent-Disposition: form-data; name=\"map\"\r\n\r\n" + map1 + "\r\n--b\r\nContent-Disposition: form-data; name=\"0\"\r\n\r\nabc",
				badInput("variables.i is truncated.")},
			"a file in JSON": {"application/json", strings.ReplaceAll(uploadMutation, `"i":null`, `"i":"abc"`),
				fmt.Sprintf(inField, "image must be a file sent as the GraphQL multipart request specification describes.", `,"field":["input","image"]`, "BAD_USER_INPUT")},
		} {
			t.Run(name, func(t *testing.T) {
				response, body := server.send(t, graphtest.Admin, c.contentType, []byte(c.body))
				golden.Check(t, name, response, body)
				if body != c.want {
					t.Error(cmp.Diff(c.want, body))
				}
			})
		}
		if filesNow, rowsNow := server.count(t); filesNow != files || rowsNow != rows {
			t.Errorf("there are %d files and %d rows more", filesNow-files, rowsNow-rows)
		}
		server.leavesNothing(t)
	})
}

// TestUploadFails shows what is left of a picture whose rows cannot be
// written.
func TestUploadFails(t *testing.T) {
	eachUploads(t, func(t *testing.T, server uploads) {
		dbtest.Exec(t, server.dsn, "ALTER TABLE thumbnails RENAME COLUMN file_size TO bytes")
		_, body := server.upload(t, graphtest.Admin, part{"operations", "", uploadMutation}, part{"map", "", `{"0":["variables.i"]}`}, part{"0", "a.png", picture(t, "scene.png")})
		const want = `{"errors":[{"message":"Internal error.","path":["uploadImage"],"locations":[{"line":1,"column":27}],"extensions":{"code":"INTERNAL"}}],"data":{"uploadImage":null}}`
		if diff := cmp.Diff(want, body); diff != "" {
			t.Error(diff)
		}
		if files, _ := server.count(t); files != 0 {
			t.Errorf("%d files are left", files)
		}
	})
}

// TestClientGoesAway ends a request while its rows are written: they are
// written all the same, for which there are files already.
func TestClientGoesAway(t *testing.T) {
	eachUploads(t, func(t *testing.T, server uploads) {
		ctx, cancel := context.WithCancel(t.Context())
		service := images.NewService(server.store, maxUpload, 512<<20)
		_, err := service.Save(ctx, "a.png", strings.NewReader(picture(t, "scene.png")), func(ctx context.Context, image *db.Image) error {
			cancel()
			return server.database.CreateImage(ctx, image)
		})
		if files, rows := server.count(t); err != nil || files != 5 || rows != 5 {
			t.Errorf("%d files, %d rows, %v", files, rows, err)
		}
	})
}

// FuzzMultipart sends anything as a multipart request: a JSON answer, and never
// a fault of the server.
func FuzzMultipart(f *testing.F) {
	dsn := dbtest.SQLite(f)
	dbtest.LoadFile(f, dsn, "testdata/uploads.json")
	store, err := storage.Open("file:" + f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = store.Close() })
	database := dbtest.Open(f, dsn)
	handler := graphtest.NewHandler(f, &graph.Resolver{DB: database, Images: images.NewService(store, maxUpload, 512<<20)}, nil)
	disposition := func(name string) string {
		return "--b\r\nContent-Disposition: form-data; name=\"" + name + "\"\r\n\r\n"
	}
	f.Add([]byte(disposition("operations") + uploadMutation + "\r\n" + disposition("map") + `{"0":["variables.i"]}` + "\r\n" + disposition("0") + "GIF89a\r\n--b--\r\n"))
	f.Add([]byte(disposition("operations") + `{"query":"{viewer{id}}","variables":{"l":[{"a":null}]}}` + "\r\n" + disposition("map") + `{"0":["variables.l.0.a"]}` + "\r\n" + disposition("0") + "\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/graphql", bytes.NewReader(body))
		request.Header.Set("Content-Type", "multipart/form-data; boundary=b")
		request.Header.Set("Authorization", "Token "+graphtest.Admin)
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, request)
		if w.Code >= 500 || !json.Valid(w.Body.Bytes()) || strings.Contains(w.Body.String(), "INTERNAL") {
			t.Errorf("%d %s", w.Code, w.Body)
		}
	})
}

// TestLinkUpload gives links new pictures: the link, its image and the files
// are there together, or none of them.
func TestLinkUpload(t *testing.T) {
	const files = 5 // a picture and its thumbnails
	operations := func(field, input string) part {
		mutation := strings.ToUpper(field[:1]) + field[1:] + "PortfolioLinkInput"
		return part{"operations", "", `{"query":"mutation($in: ` + mutation + `!) { ` + field + `PortfolioLink(input: $in) { portfolioLink { name imageData { name width thumbnails { size } } } } }","variables":{"in":{` + input + `,"image":null}}}`}
	}
	mapping, file := part{"map", "", `{"0":["variables.in.image"]}`}, part{"0", "scene.png", picture(t, "scene.png")}
	const image = `"imageData":{"name":"scene","width":160,"thumbnails":[{"size":64},{"size":128},{"size":512},{"size":1080}]}`
	failed := func(field, message, code, name string) string {
		return `{"errors":[{"message":"` + message + `","path":["` + field + `PortfolioLink"],"locations":[{"line":1,"column":` + strconv.Itoa(len("mutation($in: ")+len(field)+len("PortfolioLinkInput!) { ")+1) +
			`}],"extensions":{"code":"` + code + `"` + name + `}}],"data":{"` + field + `PortfolioLink":null}}`
	}
	cases := []struct {
		name, field, input string
		file               part
		want               string
		made               int // files
	}{
		{"create", "create", `"portfolioId":1,"name":"new"`, file, `{"data":{"createPortfolioLink":{"portfolioLink":{"name":"new",` + image + `}}}}`, files},
		{"update", "update", `"id":4`, file, `{"data":{"updatePortfolioLink":{"portfolioLink":{"name":"link",` + image + `}}}}`, files},
		{"create in no portfolio", "create", `"portfolioId":77,"name":"new"`, file, failed("create", "portfolioId does not exist.", "BAD_USER_INPUT", `,"field":["input","portfolioId"]`), 0},
		{"create without a name", "create", `"portfolioId":1,"name":" "`, file, failed("create", "name must not be blank.", "BAD_USER_INPUT", `,"field":["input","name"]`), 0},
		{"update no link", "update", `"id":999`, file, failed("update", "Not found.", "NOT_FOUND", ""), 0},
		{"update a link that was changed", "update", `"id":4,"expectedUpdatedAt":"2001-01-01T00:00:00Z"`, file, failed("update", "The object has changed since it was last read.", "CONFLICT", ""), 0},
		{"no picture", "create", `"portfolioId":1,"name":"new"`, part{"0", "a.png", "<html>"}, failed("create", "image must be a JPEG, PNG, GIF or WebP picture.", "BAD_USER_INPUT", `,"field":["input","image"]`), 0},
		{"two pictures", "create", `"portfolioId":1,"name":"new","imageId":1`, file, failed("create", "image cannot be given together with imageId.", "BAD_USER_INPUT", `,"field":["input","image"]`), 0},
	}
	golden := graphtest.OpenGolden(t)
	eachUploads(t, func(t *testing.T, server uploads) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				filesBefore, rowsBefore := server.count(t)
				response, body := server.upload(t, graphtest.Staff4242, operations(c.field, c.input), mapping, c.file)
				status := response.StatusCode
				golden.Check(t, c.name, response, body)
				if diff := cmp.Diff(c.want, body); status != http.StatusOK || diff != "" {
					t.Errorf("%d %s", status, diff)
				}
				if filesAfter, rowsAfter := server.count(t); filesAfter-filesBefore != c.made || rowsAfter-rowsBefore != c.made {
					t.Errorf("%d files and %d rows were made", filesAfter-filesBefore, rowsAfter-rowsBefore)
				}
			})
		}
		_, body := graphtest.Query(t, server.Server, "Token "+graphtest.Staff4242, `{portfolioLinks(filter:{search:"new"}){totalCount nodes{name}}}`, nil)
		if want := `{"data":{"portfolioLinks":{"totalCount":1,"nodes":[{"name":"new"}]}}}`; body != want {
			t.Errorf("links: %s", body)
		}
	})
}
