package playground

// example is a document that the page opens with, in its own tab.
type example struct {
	Query     string `json:"query"`
	Variables string `json:"variables,omitempty"`
}

var examples = []example{{
	Query: `# The documented portfolio link, with everything.
query DocumentedLink {
  portfolioLink(portfolioId: 1, id: 4) {
    id
    name
    url
    imageData {
      id
      type
      name
      size
      humanReadableSize
      url
      width
      height
      mode
      thumbnails {
        id
        url
        size
      }
    }
    description
    createdAt
    updatedAt
  }
}
`,
}, {
	Query: `# The links with an image, by name. For the next page,
# set "after" to the endCursor of the response.
query ListLinks(
  $first: Int
  $after: String
  $filter: PortfolioLinkFilter
) {
  portfolioLinks(
    portfolioId: 1
    filter: $filter
    orderBy: {field: NAME}
    first: $first
    after: $after
  ) {
    totalCount
    nodes {
      id
      name
      imageData {
        thumbnail(size: 64) {
          url
        }
      }
    }
    pageInfo {
      hasNextPage
      endCursor
    }
  }
}
`,
	Variables: `{
  "first": 10,
  "after": null,
  "filter": {"hasImage": true}
}`,
}, {
	Query: `# Creates a link.
mutation CreateLink($input: CreatePortfolioLinkInput!) {
  createPortfolioLink(input: $input) {
    portfolioLink {
      id
      name
      url
      description
      createdAt
    }
  }
}
`,
	Variables: `{
  "input": {
    "portfolioId": 1,
    "name": "Annual report",
    "url": "https://example.com/report",
    "description": "All of 2026."
  }
}`,
}, {
	Query: `# Uploads an image. Running it asks for the file.
mutation UploadImage($image: Upload!) {
  uploadImage(input: {image: $image}) {
    image {
      id
      url
      width
      height
      placeholder
      thumbnails {
        url
        width
        height
      }
    }
  }
}
`,
}, {
	Query: `# Shows a portfolio, and shows it again whenever it changes.
subscription PortfolioChanged($portfolioId: ID!) {
  portfolioChanged(portfolioId: $portfolioId) {
    id
    name
    updatedAt
    links(orderBy: {field: UPDATED_AT, direction: DESC}, first: 10) {
      nodes {
        id
        name
        updatedAt
      }
    }
  }
}
`,
	Variables: `{
  "portfolioId": 1
}`,
}}
