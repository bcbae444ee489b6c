import assert from "node:assert/strict";
import { test } from "node:test";

import { Client, fetchExchange } from "@urql/core";
import { initGraphQLTada } from "gql.tada";

import "../api.mjs";
import type { introspection } from "./graphql-env.js";

const graphql = initGraphQLTada<{
  introspection: introspection;
  scalars: { BigInt: number; DateTime: string; Upload: File; URL: string };
}>();

const LINK = graphql(`
  query TadaLink($id: ID!) {
    portfolioLink(id: $id) {
      id
      createdAt
      imageData {
        id
        size
      }
    }
  }
`);

test("gql.tada infers the types of a document", async () => {
  const client = new Client({
    url: `${process.env.API_URL}/graphql`,
    fetchOptions: { headers: { Authorization: `Bearer ${process.env.API_TOKEN}` } },
    exchanges: [fetchExchange],
  });
  const { data } = await client.query(LINK, { id: "4" });
  const size: number | undefined = data?.portfolioLink?.imageData?.size;
  const createdAt: string | undefined = data?.portfolioLink?.createdAt;
  assert.deepEqual({ size, createdAt }, { size: 5123, createdAt: "2026-01-13T10:05:43.296270Z" });

  // @ts-expect-error: the field is not selected
  assert.equal(data?.portfolioLink?.description, undefined);
});
