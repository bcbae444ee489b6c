import assert from "node:assert/strict";
import { once } from "node:events";
import { get } from "node:http";
import { test } from "node:test";
import { json } from "node:stream/consumers";

import { ApolloClient, gql, InMemoryCache } from "@apollo/client";
import { BatchHttpLink } from "@apollo/client/link/batch-http";
import { Client, fetchExchange } from "@urql/core";

import "./api.mjs";

const url = `${process.env.API_URL}/graphql`;

test("Apollo's BatchHttpLink is told that batching is not supported", async () => {
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

test("urql is told that subscriptions are not supported", async () => {
  const client = new Client({ url, fetchSubscriptions: true, exchanges: [fetchExchange] });
  const subscription = client.subscription("subscription { linkCreated { id } }", {});
  const { error } = await new Promise((resolve) => subscription.subscribe(resolve));
  assert.equal(
    error.message,
    "[GraphQL] Responses are application/graphql-response+json or application/json. Subscriptions are not supported.",
  );
});

test("a WebSocket client is told that subscriptions are not supported", async () => {
  const headers = {
    Connection: "Upgrade",
    Upgrade: "websocket",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    "Sec-WebSocket-Protocol": "graphql-transport-ws",
    "Sec-WebSocket-Version": "13",
  };
  const [response] = await once(get(url, { headers }), "response");
  assert.equal(response.statusCode, 400);
  assert.equal(
    (await json(response)).errors[0].message,
    "WebSocket and subscriptions are not supported. Send queries and mutations by POST.",
  );
});
