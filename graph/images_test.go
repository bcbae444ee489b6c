package graph_test

import (
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"

	"portfolio/graph/graphtest"
)

const imageRows = "testdata/images.json"

// TestImages_MatchGoldenResponses reads lists of images.
func TestImages_MatchGoldenResponses(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	const all = `{id type name alt size url width height mode mimeType createdAt thumbnails{id url size}}`
	names := func(arguments string) string { return `{images(` + arguments + `){totalCount nodes{id name}}}` }
	cases := []queryCase{
		{"all fields", staff4242, `{images(first:2){totalCount nodes` + all + ` pageInfo{hasNextPage hasPreviousPage startCursor endCursor}}}`, nil},
		{"edges", staff4242, `{images(last:1){edges{cursor node` + all + `}}}`, nil},
		{"one image", staff4242, `{image(id:2)` + all + `}`, nil},
		{"image of a link", staff4242, `{portfolioLink(id:101){imageData` + all + `}}`, nil},
		{"images of links", staff4242, `{portfolioLinks(first:1){nodes{imageData` + all + `}}}`, nil},
		{"by name", admin, names(`orderBy:{field:NAME}`), nil},
		{"by time", admin, names(`orderBy:{field:CREATED_AT}`), nil},
		{"by descending time", admin, names(`orderBy:{field:CREATED_AT,direction:DESC},last:2`), nil},
		{"by the time of the last update", admin, names(`orderBy:[{field:ID},{field:UPDATED_AT}]`), nil},
		{"by time and descending name", admin, names(`orderBy:[{field:CREATED_AT},{field:NAME,direction:DESC}],first:3`), nil},
		{"search in names and alternative texts", admin, names(`filter:{search:"LAKE"}`), nil},
		{"search ignores composition", admin, names("filter:{search:\"E\u0301M\"}"), nil},
		{"search for a character", admin, names(`filter:{search:","}`), nil},
		{"unused", admin, names(`filter:{unused:true}`), nil},
		{"used", admin, names(`filter:{unused:false},orderBy:{field:NAME,direction:DESC}`), nil},
		{"type", admin, names(`filter:{type:"document"}`), nil},
		{"type of no image", admin, names(`filter:{type:"Document"}`), nil},
		{"several conditions", admin, names(`filter:{search:"lake",unused:true,type:"image"}`), nil},
		{"null arguments are ignored", admin, names(`filter:{search:null,unused:null,type:null},orderBy:null,first:1`), nil},
		{"links", admin, `{image(id:1){links(first:2){totalCount nodes{id name portfolio{id} imageData{id}} pageInfo{hasNextPage endCursor}}}}`, nil},
		{"last links", admin, `{image(id:1){links(last:1){nodes{id} pageInfo{hasPreviousPage}}}}`, nil},
		{"links of all images", admin, `{images{nodes{id links{totalCount nodes{id}}}}}`, nil},
		{"links of the images of links", admin, `{portfolioLinks(first:3){nodes{id imageData{id links{nodes{id}}}}}}`, nil},
		{"links of the images of links of portfolios", admin, `{portfolios(first:2){nodes{links(first:5){nodes{id imageData{id links{totalCount nodes{id}}}}}}}}`, nil},
		{"links with a cursor of another list", admin, `{image(id:1){links(after:"At1chD8"){totalCount}}}`, nil},
		{"invalid arguments", admin, `query($f:ImageFilter){images(filter:$f,first:101){totalCount}}`, object{"f": object{"search": "\x00", "type": long(256)}}},
		{"anonymous", "", names(`first:1`), nil},
	}
	graphtest.EachCached(t, imageRows, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := graphtest.Query(t, server, c.authorization, c.query, c.variables)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

// TestImageMutations_MatchGoldenResponses runs the cases one after the other.
func TestImageMutations_MatchGoldenResponses(t *testing.T) {
	t.Parallel()
	golden := graphtest.OpenGolden(t)
	cases := append(updateImageCases(), deleteImageCases()...)
	graphtest.Each(t, imageRows, func(t *testing.T, server *httptest.Server) {
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				response, body := c.send(t, server)
				golden.Check(t, c.name, response, body)
			})
		}
	})
}

func updateImageCases() []mutationCase {
	const field, selection = "updateImage", `{image{id name alt createdAt thumbnails{id}}}`
	return []mutationCase{
		{"set the alternative text", field, selection, object{"id": 1, "alt": "A \"lake\"\n"}},
		{"omit the alternative text", field, selection, object{"id": "1"}},
		{"set an empty alternative text", field, selection, object{"id": 6, "alt": ""}},
		{"remove the alternative text", field, selection, object{"id": "SW1hZ2U6MQ==", "alt": nil}},
		{"set an alternative text that is too long", field, selection, object{"id": 3, "alt": long(1001)}},
		{"set invalid text", field, selection, object{"id": "UG9ydGZvbGlvOjE=", "alt": "a\x00"}},
		{"update a missing image", field, selection, object{"id": 77, "alt": "x"}},
	}
}

func deleteImageCases() []mutationCase {
	const field, selection = "deleteImage", `{deletedNodeId image{id name url thumbnails{id} links{totalCount}}}`
	return []mutationCase{
		{"delete an image of several links", field, selection, object{"id": 1}},
		{"delete an image of one link", field, selection, object{"id": 3, "force": false}},
		{"delete an unused image", field, selection, object{"id": 6}},
		{"delete a deleted image", field, selection, object{"id": 6, "force": true}},
		{"delete an image of several links by force", field, selection, object{"id": "SW1hZ2U6MQ==", "force": true}},
		{"delete an image with the ID of a portfolio", field, selection, object{"id": "UG9ydGZvbGlvOjE="}},
		{"delete an image with force null", field, selection, object{"id": 3, "force": nil}},
	}
}

// TestDeleteImage_UpdatesItsLinks checks that updatedAt of the links that lose their image
// changes, and of no other link.
func TestDeleteImage_UpdatesItsLinks(t *testing.T) {
	t.Parallel()
	graphtest.Each(t, imageRows, func(t *testing.T, server *httptest.Server) {
		type links struct {
			PortfolioLinks struct {
				Nodes []struct {
					ID        string
					ImageData *struct{ ID string }
					UpdatedAt string
				}
			}
		}
		const read = `{portfolioLinks{nodes{id imageData{id} updatedAt}}}`
		var before, after links
		mutate(t, server, read, nil, &before)
		if code := mutate(t, server, `mutation{deleteImage(input:{id:1,force:true}){image{id}}}`, nil, nil); code != "" {
			t.Fatal(code)
		}
		mutate(t, server, read, nil, &after)
		changed := 0
		for i, link := range before.PortfolioLinks.Nodes {
			now := after.PortfolioLinks.Nodes[i]
			if link.ImageData == nil || link.ImageData.ID != "1" {
				if diff := cmp.Diff(link, now); diff != "" {
					t.Error("-want +got:\n" + diff)
				}
				continue
			}
			changed++
			if now.ImageData != nil || now.UpdatedAt <= link.UpdatedAt {
				t.Errorf("%+v became %+v", link, now)
			}
			if code := mutate(t, server, updateDescription, object{"i": object{"id": link.ID, "expectedUpdatedAt": link.UpdatedAt}}, nil); code != "CONFLICT" {
				t.Errorf("an update of link %s that expects the image: %q", link.ID, code)
			}
		}
		if changed != 3 {
			t.Errorf("%d links changed, want 3", changed)
		}
	})
}
