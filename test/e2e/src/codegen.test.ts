import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { PersistedQueryLink } from "@apollo/client/link/persisted-queries";

import { recordingFetch } from "../api.mjs";
import { graphql } from "./gql/gql.js";

const LINK = graphql(`
  query TypedLink($id: ID!) {
    portfolioLink(id: $id) {
      id
      url
      createdAt
      imageData {
        id
        size
      }
    }
  }
`);

const requests: string[] = [];

const http = new HttpLink({
  uri: `${process.env.PERSISTED_URL}/graphql`,
  headers: { Authorization: `Bearer ${process.env.API_TOKEN}` },
  fetch: recordingFetch(requests),
});

const persisted = new PersistedQueryLink({
  generateHash: (document: any) => document.__meta__.hash.replace("sha256:", ""),
});
const client = new ApolloClient({ link: persisted.concat(http), cache: new InMemoryCache() });

test("graphql-codegen writes types and persisted documents", async () => {
  const { data } = await client.query({ query: LINK, variables: { id: 4 } });
  const size: number | undefined = data?.portfolioLink?.imageData?.size;
  const createdAt: string | undefined = data?.portfolioLink?.createdAt;
  assert.deepEqual({ size, createdAt }, { size: 5123, createdAt: "2026-01-13T10:05:43.296270Z" });
  assert.deepEqual(requests, ["POST without text"]);

  // @ts-expect-error: the variable is named id
  await assert.rejects(client.query({ query: LINK, variables: { number: 4 } }));
  // @ts-expect-error: the field is not selected
  assert.equal(data?.portfolioLink?.description, undefined);
});

test("a document that is not persisted is rejected", async () => {
  const client = new ApolloClient({ link: http, cache: new InMemoryCache() });
  const query = gql`
    query NotPersisted {
      viewer {
        id
      }
    }
  `;
  await assert.rejects(client.query({ query }), { message: "Only persisted documents are accepted." });
});
