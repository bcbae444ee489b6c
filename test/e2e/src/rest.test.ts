import assert from "node:assert/strict";
import { test } from "node:test";

import createClient from "openapi-fetch";

import { documentedLegacyLink } from "../api.mjs";
import type { paths } from "./rest.js";

const api = createClient<paths>({
  baseUrl: process.env.API_URL,
  headers: { Authorization: `Token ${process.env.API_TOKEN}` },
});

test("openapi-fetch reads the documented link", async () => {
  const { data } = await api.GET("/api/portfolios/{portfolio_id}/links/{id}", {
    params: { path: { portfolio_id: 1, id: 4 } },
  });
  const width: number | null | undefined = data?.image_data?.width;
  assert.equal(width, 225);
  assert.deepEqual(data, documentedLegacyLink);
});

test("openapi-fetch reads an error", async () => {
  const { error, response } = await api.GET("/api/portfolios/links/{id}", { params: { path: { id: 0 } } });
  assert.equal(response.status, 404);
  assert.deepEqual(error, { detail: "No PortfolioLink matches the given query." });
});
