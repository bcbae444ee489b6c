package graph_test

import (
	"fmt"
	"strings"
	"testing"
)

// TestUpload_CoercesSingleValuesToLists sends files inside an object where a list of
// objects is expected.
func TestUpload_CoercesSingleValuesToLists(t *testing.T) {
	const link = `{"portfolioId":1,"name":"%s","image":null}`
	image := filePart("scene.png", readImage(t, "scene.png"))
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		for _, c := range []struct{ name, variable, argument, value, path, want string }{
			{"list in a variable", "CreatePortfolioLinksInput!", "$in", `{"links":` + link + `}`, "in.links.image", ""},
			{"variable of a list", "[CreatePortfolioLinkInput!]!", "{links: $in}", link, "in.image", ""},
			{"list with one object", "[CreatePortfolioLinkInput!]!", "{links: $in}", "[" + link + "]", "in.0.image", ""},
			{"path of a string", "[CreatePortfolioLinkInput!]!", "{links: $in}", `{"portfolioId":1,"name":{"x":null}}`, "in.name.x", "not a file of the operation"},
			{"index of an object", "CreatePortfolioLinkInput!", "{links: [$in]}", `{"0":null}`, "in.0", "not a file of the operation"},
		} {
			t.Run(c.name, func(t *testing.T) {
				operations := `{"query":"mutation($in: ` + c.variable + `) { createPortfolioLinks(input: ` + c.argument + `) ` +
					`{ portfolioLinks { name imageData { name } } } }","variables":{"in":` + strings.ReplaceAll(c.value, "%s", c.name) + `}}`
				files, _ := server.countStored(t)
				_, body := server.upload(t, staff4242, operationsPart(operations), mapPart(`{"0":["variables.`+c.path+`"]}`), image)
				after, _ := server.countStored(t)
				want, stored := c.want, 0
				if want == "" {
					stored = filesOfImage
					want = `{"data":{"createPortfolioLinks":{"portfolioLinks":[{"name":"` + c.name + `","imageData":{"name":"scene"}}]}}}`
				}
				if !strings.Contains(body, want) || after-files != stored {
					t.Errorf("got %s and %d files, want %s and %d", body, after-files, want, stored)
				}
			})
		}
	})
}

// TestUpload_DecodesNamesOfBrowsers sends names as browsers encode them, by the
// HTML standard, and as other clients do.
func TestUpload_DecodesNamesOfBrowsers(t *testing.T) {
	const operations = `{"query":"mutation($i: Upload!) { uploadImage(input: {image: $i}) { image { name } } }","variables":{"i":null}}`
	image := readImage(t, "scene.png")
	eachUploadServer(t, func(t *testing.T, server uploadServer) {
		for _, c := range []struct{ key, name, filename, want string }{
			{"0", "0", `my %22best%22 photo.png`, `my \"best\" photo`},
			{"0", "0", `my \"best\" photo.png`, `my \"best\" photo`},
			{"0", "0", `two%0D%0Alines%0Aor%0Dthree.png`, "twolinesorthree"},
			{"0", "0", `100%25 %2522 %20 %0a.png`, "100%25 %2522 %20 %0a"},
			{"0", "0", `a \(1).png`, "(1)"},
			{"0", "0", `a\`, "image"},
			{"0", "0", "تصویر %22.png", `تصویر \"`},
			{`a\"b`, `a%22b`, "x.png", "x"},
			{`a%22b`, `a%22b`, "x.png", "x"},
			{`a\"b`, `a\"b`, "x.png", "x"},
			{`a\nb`, `a%0D%0Ab`, "x.png", "x"},
		} {
			body := rawPart("operations") + operations + "\r\n" + rawPart("map") + fmt.Sprintf(`{"%s":["variables.i"]}`, c.key) + "\r\n" +
				"--b\r\nContent-Disposition: form-data; name=\"" + c.name + "\"; filename=\"" + c.filename + "\"\r\nContent-Type: image/png\r\n\r\n" +
				image + "\r\n--b--\r\n"
			_, got := server.send(t, admin, "multipart/form-data; boundary=b", []byte(body))
			if want := `{"data":{"uploadImage":{"image":{"name":"` + c.want + `"}}}}`; got != want {
				t.Errorf("name=%q, filename=%q: got %s, want %s", c.name, c.filename, got, want)
			}
		}
	})
}
