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
	switch action := m.random.IntN(6); {
	case image == nil || action < 2 && len(m.images) < 12:
		row := &db.Image{Type: "image", Name: m.randomName(), Path: "a.png"}
		if err := m.database.CreateImage(m.Context(), row); err != nil {
			m.Fatal(err)
		}
		var created struct{ Image *entry }
		m.query("query Q($i: ID!) {image(id: $i) {"+fields+"}}", object{"i": row.ID}, &created)
		result.Image.Image = created.Image
	case action < 4:
		alt := m.maybeNull(m.randomText())
		m.query("mutation M($i: UpdateImageInput!) {image: updateImage(input: $i) {image {"+fields+"}}}", object{"i": object{"id": image.ID, "alt": alt}}, &result)
		if got := result.Image.Image; got.Name != image.Name || !got.CreatedAt.Equal(image.CreatedAt) || (got.Alt == nil) != (alt == nil) || alt != nil && *got.Alt != alt {
			m.Fatalf("%+v became %+v, want the alternative text %v", image, got, alt)
		}
	}
	if done := result.Image.Image; done != nil {
		m.images[done.ID] = done
	}
}
