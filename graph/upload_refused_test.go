package graph_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"portfolio/graph/graphtest"
)

// uploadCase is a multipart request.
type uploadCase struct {
	name, authorization string
	parts               []part
}

// TestUpload_StoresNothingIfRefused checks that refused requests store no file and no row.
func TestUpload_StoresNothingIfRefused(t *testing.T) {
	golden := graphtest.OpenGolden(t)
	image, largerImage := readImage(t, "scene.png"), readImage(t, "cmyk.jpg")
	cases := slices.Concat(partOrderCases(image), operationsCases(image), mapCases(image), partSizeCases(image), fileCases(image, largerImage))
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		files, rows := server.countStored(t)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := server.upload(t, c.authorization, c.parts...)
				golden.Check(t, c.name, response, body)
			})
		}
		for _, c := range malformedBodies() {
			t.Run(c.name, func(t *testing.T) {
				response, body := server.send(t, admin, c.contentType, []byte(c.body))
				golden.Check(t, c.name, response, body)
			})
		}
		if filesNow, rowsNow := server.countStored(t); filesNow != files || rowsNow != rows {
			t.Errorf("%d files and %d rows were stored", filesNow-files, rowsNow-rows)
		}
		server.assertNoTempFiles(t)
	})
}

func partOrderCases(image string) []uploadCase {
	operations, fileMap, file := operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", image)
	manyParts := []part{operations, fileMap, file}
	for range 10_000 {
		manyParts = append(manyParts, filePart("a.png", "x"))
	}
	return []uploadCase{
		{"no parts", admin, nil},
		{"no operations", admin, []part{fileMap, file}},
		{"no map", admin, []part{operations}},
		{"map after the file", admin, []part{operations, file, fileMap}},
		{"no file", admin, []part{operations, fileMap}},
		{"file that is not in the map", admin, []part{operations, fileMap, {"1", "a.png", "x"}}},
		{"same file twice", admin, []part{operations, fileMap, file, file}},
		{"10,000 additional parts", admin, manyParts},
	}
}

func operationsCases(image string) []uploadCase {
	parts := func(operations string) []part {
		return []part{operationsPart(operations), mapPart(uploadMap), filePart("a.png", image)}
	}
	deep := strings.Repeat("[", 11_000) + strings.Repeat("]", 11_000)
	return []uploadCase{
		{"malformed operations", admin, parts("x")},
		{"batch", admin, parts("[" + uploadMutation + "]")},
		{"variables nested too deeply", admin, parts(`{"query":"{viewer{id}}","variables":{"i":` + deep + `}}`)},
		{"no query", admin, parts(`{"variables":{"i":null}}`)},
		{"no variables", admin, parts(`{"query":"{viewer{id}}"}`)},
	}
}

func mapCases(image string) []uploadCase {
	parts := func(operations, fileMap string) []part {
		return []part{operationsPart(operations), mapPart(fileMap), filePart("a.png", image)}
	}
	elevenPaths := strings.TrimSuffix(strings.Repeat(`"variables.i",`, 11), ",")
	return []uploadCase{
		{"malformed map", admin, parts(uploadMutation, "x")},
		{"path is a number", admin, parts(uploadMutation, `{"0":[1]}`)},
		{"file without a path", admin, parts(uploadMutation, `{"0":[]}`)},
		{"too many paths", admin, parts(uploadMutation, `{"0":[`+elevenPaths+`]}`)},
		{"empty map", admin, parts(`{"query":"{viewer{id}}"}`, `{}`)},
		{"path of two files", admin, parts(uploadMutation, `{"0":["variables.i"],"1":["variables.i"]}`)},
		{"index out of range", admin, parts(`{"query":"{viewer{id}}","variables":{"i":[null]}}`, `{"0":["variables.i.1"]}`)},
		{"path below null", admin, parts(uploadMutation, `{"0":["variables.i.x"]}`)},
		{"path of a missing variable", admin, parts(uploadMutation, `{"0":["variables.j"]}`)},
		{"path outside of the variables", admin, parts(uploadMutation, `{"0":["query"]}`)},
		{"path of the variables themselves", admin, parts(uploadMutation, `{"0":["variables"]}`)},
	}
}

func partSizeCases(image string) []uploadCase {
	operations, fileMap, file := operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", image)
	return []uploadCase{
		{"operations too large", admin, []part{operationsPart(strings.Repeat("x", 1<<20+1)), fileMap, file}},
		{"map too large", admin, []part{operations, mapPart(strings.Repeat("x", 16<<10+1)), file}},
		{"file too large", admin, []part{operations, fileMap, filePart("a.png", strings.Repeat("x", maxUpload+1))}},
		{"part headers too large", admin, []part{operations, fileMap, filePart(strings.Repeat("x", 100<<10), "x")}},
	}
}

func fileCases(image, largerImage string) []uploadCase {
	operations, fileMap, file := operationsPart(uploadMutation), mapPart(uploadMap), filePart("a.png", image)
	with := func(operations string) []part { return []part{operationsPart(operations), fileMap, file} }
	const (
		field     = "{ uploadImage(input: {image: $i}) { image { ...F } } }"
		inlined   = "{ ...on Mutation { a: uploadImage(input: {image: $i}) { image { ...F } } } }"
		noFile    = `{"query":"{viewer{id}}","variables":{"i":null}}`
		asString  = `{"query":"query($i:String!){__type(name:$i){name}}","variables":{"i":null}}`
		longAlt   = `{"query":"mutation($i:UploadImageInput!){uploadImage(input:$i){image{id}}}","variables":{"i":{"image":null,"alt":"%s"}}}`
		inAString = `{"query":"mutation($i:CreatePortfolioLinkInput!){createPortfolioLink(input:$i){portfolioLink{id}}}",` +
			`"variables":{"i":{"portfolioId":1,"name":{"x":null}}}}`
	)
	return []uploadCase{
		{"HTML file", admin, []part{operations, fileMap, filePart("a.jpg", "<html>")}},
		{"truncated image", admin, []part{operations, fileMap, filePart("a.jpg", largerImage[:2000])}},
		{"empty file", admin, []part{operations, fileMap, filePart("a.jpg", "")}},
		{"no permission", staff, with(uploadMutation)},
		{"no permission, field in a fragment", staff, with(strings.Replace(uploadMutation, field, inlined, 1))},
		{"operation without the variable", staff, with(noFile)},
		{"alternative text too long", admin, []part{operationsPart(fmt.Sprintf(longAlt, long(1001))), mapPart(`{"0":["variables.i.image"]}`), file}},
		{"file as a string", admin, with(asString)},
		{"file in a field of a string", admin, []part{operationsPart(inAString), mapPart(`{"0":["variables.i.name.x"]}`), file}},
		{"anonymous", "", with(uploadMutation)},
	}
}

type malformedBody struct{ name, contentType, body string }

func malformedBodies() []malformedBody {
	const contentType = "multipart/form-data; boundary=b"
	return []malformedBody{
		{"no boundary", "multipart/form-data", "x"},
		{"truncated operations", contentType, rawPart("operations") + "{"},
		{"truncated file", contentType, rawPart("operations") + uploadMutation + "\r\n" + rawPart("map") + uploadMap + "\r\n" + rawPart("0") + "abc"},
		{"file as a JSON string", "application/json", strings.ReplaceAll(uploadMutation, `"i":null`, `"i":"abc"`)},
	}
}
