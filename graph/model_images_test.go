package graph_test

import (
	"maps"

	"portfolio/db"
)

// maybeImage returns the ID of an image, or nil.
func (m *modelTest) maybeImage() any {
	if image := m.anyOf(m.images); image != nil {
		return m.maybeNull(image.ID)
	}
	return nil
}

// linksOf returns the links that use an image.
func (m *modelTest) linksOf(image *entry) (links []*entry) {
	for _, link := range m.links {
		if link.ImageData != nil && link.ImageData.ID == image.ID {
			links = append(links, link)
		}
	}
	return links
}

// fetchLinksOfImage reads a page of the links that use an image.
func (m *modelTest) fetchLinksOfImage(image *entry, arguments object) connection {
	variables := maps.Clone(arguments)
	variables["i"] = image.ID
	var result struct{ Image struct{ Links connection } }
	m.query(`query Q($i: ID!, $first: Int, $after: String, $last: Int, $before: String) {image(id: $i) {
		links(first: $first, after: $after, last: $last, before: $before) {`+pageFields+`}}}`, variables, &result)
	return result.Image.Links
}

// stepImage makes one random change of an image in the server and in the model.
func (m *modelTest) stepImage() {
	const fields = `id name alt createdAt`
	var result struct{ Image struct{ Image *entry } }
	image := m.anyOf(m.images)
	switch action := m.random.IntN(8); {
	case image == nil || action < 3 && len(m.images) < 12:
		row := &db.Image{Type: "image", Name: m.randomName(), Path: "a.png"}
		if err := m.database.CreateImage(m.Context(), row); err != nil {
			m.Fatal(err)
		}
		var created struct{ Image *entry }
		m.query("query Q($i: ID!) {image(id: $i) {"+fields+"}}", object{"i": row.ID}, &created)
		result.Image.Image = created.Image
	case action < 6:
		alt := m.maybeNull(m.randomText())
		m.query("mutation M($i: UpdateImageInput!) {image: updateImage(input: $i) {image {"+fields+"}}}", object{"i": object{"id": image.ID, "alt": alt}}, &result)
		if got := result.Image.Image; got.Name != image.Name || !got.CreatedAt.Equal(image.CreatedAt) || (got.Alt == nil) != (alt == nil) || alt != nil && *got.Alt != alt {
			m.Fatalf("%+v became %+v, want the alternative text %v", image, got, alt)
		}
	default:
		m.deleteImage(image)
	}
	if done := result.Image.Image; done != nil {
		m.images[done.ID] = done
	}
}

// deleteImage deletes an image, by force if links use it. They lose it.
func (m *modelTest) deleteImage(image *entry) {
	links := m.linksOf(image)
	const mutation = `mutation($i: DeleteImageInput!) {done: deleteImage(input: $i) {image {id}}}`
	code := mutate(m.T, m.server, mutation, object{"i": object{"id": image.ID}}, nil)
	if used := len(links) > 0; used != (code == "CONFLICT") || !used && code != "" {
		m.Fatalf("delete image %s, which %d links use: %q", image.ID, len(links), code)
	}
	if code != "" {
		m.query(mutation, object{"i": object{"id": image.ID, "force": true}}, new(object))
	}
	delete(m.images, image.ID)
	for _, link := range links {
		var now struct{ PortfolioLink *entry }
		m.query(`query($i: ID!) {portfolioLink(id: $i) `+entryFields+`}`, object{"i": link.ID}, &now)
		m.checkTimes(link, now.PortfolioLink)
		m.checkUpdate(link, now.PortfolioLink, object{"imageId": nil})
		m.links[link.ID] = now.PortfolioLink
	}
}
