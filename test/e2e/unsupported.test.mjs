import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { BatchHttpLink } from "@apollo/client/link/batch-http";

import "./api.mjs";

const url = `${process.env.API_URL}/graphql`;

test("Apollo's BatchHttpLink gets an error: batching is not supported", async () => {
  const client = new ApolloClient({ link: new BatchHttpLink({ uri: url }), cache: new InMemoryCache() });
  const query = gql`
    query Batched {
      viewer {
        id
      }
    }
  `;
  await assert.rejects(client.query({ query }), {
    name: "CombinedGraphQLErrors",
    message: "Batching is not supported. Send one operation per request.",
  });
});
