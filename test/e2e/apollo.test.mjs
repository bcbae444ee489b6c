import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { test } from "node:test";

import { CombinedGraphQLErrors, gql, HttpLink } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

import { createPortfolio, demoImage, documentedLink, documentedQuery, forms, recordingFetch, without } from "./api.mjs";

import { ApolloClient, InMemoryCache } from "@apollo/client";
import { relayStylePagination } from "@apollo/client/utilities";
import UploadHttpLink from "apollo-upload-client/UploadHttpLink.mjs";

const client = new ApolloClient({
  link: new UploadHttpLink({
    uri: `${process.env.API_URL}/graphql`,
    headers: { Authorization: `Bearer ${process.env.API_TOKEN}` },
  }),
  cache: new InMemoryCache({
    typePolicies: {
      Query: { fields: { portfolioLinks: relayStylePagination(["portfolioId", "filter", "orderBy"]) } },
      Portfolio: { fields: { links: relayStylePagination(["filter", "orderBy"]) } },
    },
  }),
});

const LINKS = gql`
  query Links($portfolioId: ID!, $after: String) {
    portfolio(id: $portfolioId) {
      id
      links(first: 2, after: $after) {
        edges {
          cursor
          node {
            id
            name
          }
        }
        pageInfo {
          hasNextPage
          endCursor
        }
      }
    }
  }
`;

const CREATE = gql`
  mutation Create($input: CreatePortfolioLinkInput!) {
    createPortfolioLink(input: $input) {
      portfolioLink {
        id
        name
      }
    }
  }
`;

test("Apollo Client sends the documented query", async () => {
  const { data } = await client.query({ query: gql(documentedQuery) });
  assert.deepEqual(without(data, "__typename"), { portfolioLink: documentedLink });
});

test("Apollo Client keeps its lists up to date", async (t) => {
  const portfolioId = await createPortfolio("a", "b", "c", "d", "e");
  const links = client.watchQuery({ query: LINKS, variables: { portfolioId } });
  const subscription = links.subscribe(() => {});
  t.after(() => subscription.unsubscribe());
  let { pageInfo } = (await links.refetch()).data.portfolio.links;
  while (pageInfo.hasNextPage) {
    const next = await links.fetchMore({ variables: { after: pageInfo.endCursor } });
    pageInfo = next.data.portfolio.links.pageInfo;
  }
  const names = () =>
    client.readQuery({ query: LINKS, variables: { portfolioId } }).portfolio.links.edges.map(({ node }) => node.name);
  assert.deepEqual(names(), ["a", "b", "c", "d", "e"]);

  const { data } = await client.mutate({
    mutation: CREATE,
    variables: { input: { portfolioId, name: "f" } },
    update(cache, { data }) {
      cache.updateQuery({ query: LINKS, variables: { portfolioId } }, ({ portfolio }) => {
        const edge = { __typename: "PortfolioLinkEdge", cursor: "", node: data.createPortfolioLink.portfolioLink };
        return { portfolio: { ...portfolio, links: { ...portfolio.links, edges: [...portfolio.links.edges, edge] } } };
      });
    },
  });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e", "f"]);

  const { id } = data.createPortfolioLink.portfolioLink;
  await client.mutate({
    mutation: gql`
      mutation Rename($input: UpdatePortfolioLinkInput!) {
        updatePortfolioLink(input: $input) {
          portfolioLink {
            id
            name
          }
        }
      }
    `,
    variables: { input: { id, name: "g" } },
  });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e", "g"]);

  await client.mutate({
    mutation: gql`
      mutation Delete($id: ID!) {
        deletePortfolioLink(input: { id: $id }) {
          portfolioLink {
            id
          }
        }
      }
    `,
    variables: { id },
    update(cache, { data }) {
      cache.evict({ id: cache.identify(data.deletePortfolioLink.portfolioLink) });
    },
  });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e"]);
});

/** Returns the messages of an error by the names of the fields of a form. */
function messagesByField(error) {
  if (!CombinedGraphQLErrors.is(error)) throw error;
  return Object.fromEntries(error.errors.map(({ message, extensions }) => [extensions.field?.at(-1), message]));
}

test("Apollo Client shows errors beside the fields of a form", async () => {
  for (const { input, messages } of forms) {
    const { error } = await client.mutate({ mutation: CREATE, variables: { input }, errorPolicy: "all" });
    assert.deepEqual(messagesByField(error), messages);
  }
});

test("Apollo Client uploads a file", async () => {
  const { data } = await client.mutate({
    mutation: gql`
      mutation Upload($image: Upload!) {
        uploadImage(input: { image: $image }) {
          image {
            id
            name
            width
            mimeType
          }
        }
      }
    `,
    variables: { image: await demoImage() },
  });
  assert.deepEqual(without(data, "__typename", "id"), {
    uploadImage: { image: { name: "technology", width: 225, mimeType: "image/png" } },
  });
});

test("Apollo Client sends the hash of a document that the server knows", async () => {
  const requests = [];
  const hashes = new PersistedQueryLink({
    sha256: (text) => createHash("sha256").update(text).digest("hex"),
    useGETForHashedQueries: true,
  });
  const http = new HttpLink({ uri: `${process.env.API_URL}/graphql`, fetch: recordingFetch(requests) });
  const client = new ApolloClient({ link: hashes.concat(http), cache: new InMemoryCache() });
  const query = gql`
    query HashedByApollo {
      viewer {
        id
        username
      }
    }
  `;
  for (let i = 0; i < 2; i++) {
    const { data } = await client.query({ query, fetchPolicy: "no-cache" });
    assert.deepEqual(data, { viewer: null });
  }
  assert.deepEqual(requests, ["GET without text", "POST with text", "GET without text"]);
});
