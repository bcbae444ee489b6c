import assert from "node:assert/strict";
import { test } from "node:test";

import { gql } from "@urql/core";
import { persistedExchange } from "@urql/exchange-persisted";

import { createPortfolio, demoImage, documentedLink, documentedQuery, forms, recordingFetch, without } from "./api.mjs";

import { Client, fetchExchange } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";

// Mutations that add or remove a link select portfolio { id }.
function invalidateLinks(result, _variables, cache, { fieldName }) {
  const portfolio = result[fieldName]?.portfolioLink.portfolio;
  if (!portfolio) return; // the mutation failed
  for (const field of cache.inspectFields(portfolio)) {
    if (field.fieldName === "links") cache.invalidate(portfolio, "links", field.arguments);
  }
}

const client = new Client({
  url: `${process.env.API_URL}/graphql`,
  fetchOptions: { headers: { Authorization: `Bearer ${process.env.API_TOKEN}` } },
  exchanges: [
    cacheExchange({
      resolvers: {
        Query: { portfolioLinks: relayPagination() },
        Portfolio: { links: relayPagination() },
      },
      updates: {
        Mutation: {
          createPortfolioLink: invalidateLinks,
          deletePortfolioLink: invalidateLinks,
        },
      },
    }),
    fetchExchange,
  ],
});

const LINKS = gql`
  query Links($portfolioId: ID!, $after: String) {
    portfolio(id: $portfolioId) {
      id
      links(first: 2, after: $after) {
        edges {
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
        portfolio {
          id
        }
      }
    }
  }
`;

/** Sends an operation and returns its data. */
async function send(operation) {
  const { data, error } = await operation.toPromise();
  if (error) throw error;
  return data;
}

test("urql sends the documented query", async () => {
  const data = await send(client.query(gql(documentedQuery), {}));
  assert.deepEqual(without(data, "__typename"), { portfolioLink: documentedLink });
});

test("urql keeps its lists up to date", async () => {
  const portfolioId = await createPortfolio("a", "b", "c", "d", "e");
  const names = async () => {
    let after = null;
    for (;;) {
      const { links } = (await send(client.query(LINKS, { portfolioId, after }))).portfolio;
      if (!links.pageInfo.hasNextPage) return links.edges.map((edge) => edge.node.name);
      after = links.pageInfo.endCursor;
    }
  };
  assert.deepEqual(await names(), ["a", "b", "c", "d", "e"]);

  const { createPortfolioLink } = await send(client.mutation(CREATE, { input: { portfolioId, name: "f" } }));
  assert.deepEqual(await names(), ["a", "b", "c", "d", "e", "f"]);

  const { id } = createPortfolioLink.portfolioLink;
  await send(
    client.mutation(
      gql`
        mutation Rename($input: UpdatePortfolioLinkInput!) {
          updatePortfolioLink(input: $input) {
            portfolioLink {
              id
              name
            }
          }
        }
      `,
      { input: { id, name: "g" } },
    ),
  );
  assert.deepEqual(await names(), ["a", "b", "c", "d", "e", "g"]);

  await send(
    client.mutation(
      gql`
        mutation Delete($input: DeletePortfolioLinkInput!) {
          deletePortfolioLink(input: $input) {
            portfolioLink {
              id
              portfolio {
                id
              }
            }
          }
        }
      `,
      { input: { id } },
    ),
  );
  assert.deepEqual(await names(), ["a", "b", "c", "d", "e"]);
});

/** Returns the messages of an error by the names of the fields of a form. */
function messagesByField({ networkError, graphQLErrors }) {
  if (networkError) throw networkError;
  return Object.fromEntries(graphQLErrors.map(({ message, extensions }) => [extensions.field?.at(-1), message]));
}

test("urql shows errors beside the fields of a form", async () => {
  for (const { input, messages } of forms) {
    const { error } = await client.mutation(CREATE, { input }).toPromise();
    assert.deepEqual(messagesByField(error), messages);
  }
});

test("urql uploads a file", async () => {
  const data = await send(
    client.mutation(
      gql`
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
      { image: await demoImage() },
    ),
  );
  assert.deepEqual(without(data, "__typename", "id"), {
    uploadImage: { image: { name: "technology", width: 225, mimeType: "image/png" } },
  });
});

test("urql sends the hash of a document that the server knows", async () => {
  const requests = [];
  const client = new Client({
    url: `${process.env.API_URL}/graphql`,
    fetch: recordingFetch(requests),
    exchanges: [persistedExchange({ preferGetForPersistedQueries: true }), fetchExchange],
  });
  const query = gql`
    query HashedByUrql {
      viewer {
        id
        username
      }
    }
  `;
  for (let i = 0; i < 2; i++) {
    assert.deepEqual(await send(client.query(query, {})), { viewer: null });
  }
  assert.deepEqual(requests, ["GET without text", "GET with text", "GET without text"]);
});
