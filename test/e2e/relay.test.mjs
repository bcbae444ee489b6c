import assert from "node:assert/strict";
import { test } from "node:test";

import relay from "relay-runtime";

import { createPortfolio } from "./api.mjs";
import CreateMutation from "./relay/__generated__/PortfolioCreateMutation.graphql.js";
import DeleteMutation from "./relay/__generated__/PortfolioDeleteMutation.graphql.js";
import linksFragment from "./relay/__generated__/Portfolio_links.graphql.js";
import LinksQuery from "./relay/__generated__/PortfolioLinksQuery.graphql.js";
import PortfolioQuery from "./relay/__generated__/PortfolioQuery.graphql.js";
import SameIDQuery from "./relay/__generated__/PortfolioSameIDQuery.graphql.js";
import UpdateMutation from "./relay/__generated__/PortfolioUpdateMutation.graphql.js";

const { commitMutation, Environment, fetchQuery, Network, RecordSource, Store } = relay;

const url = `${process.env.PERSISTED_URL}/graphql`;

const environment = new Environment({
  store: new Store(new RecordSource()),
  getDataID: (object) => object.nodeId,
  network: Network.create(async ({ id, text }, variables) => {
    const response = await fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Bearer ${process.env.API_TOKEN}` },
      body: JSON.stringify(id ? { documentId: id, variables } : { query: text, variables }),
    });
    return response.json();
  }),
});

const query = (query, variables) => fetchQuery(environment, query, variables).toPromise();

const mutate = (mutation, variables) =>
  new Promise((onCompleted, onError) => commitMutation(environment, { mutation, variables, onCompleted, onError }));

/** Reads a portfolio from the store, as a component does. */
function readPortfolio(id) {
  const { fragment } = relay.createOperationDescriptor(relay.getRequest(PortfolioQuery), { id });
  const { portfolio } = environment.lookup(fragment).data;
  return environment.lookup(relay.getSelector(linksFragment, portfolio)).data;
}

test("Relay keeps its connections up to date", async () => {
  const id = await createPortfolio("a", "b", "c", "d", "e");
  await query(PortfolioQuery, { id });
  let portfolio = readPortfolio(id);
  while (portfolio.links.pageInfo.hasNextPage) {
    await query(LinksQuery, { nodeId: portfolio.nodeId, after: portfolio.links.pageInfo.endCursor });
    portfolio = readPortfolio(id);
  }
  const names = () => readPortfolio(id).links.edges.map(({ node }) => node.name);
  assert.deepEqual(names(), ["a", "b", "c", "d", "e"]);

  const connections = [portfolio.links.__id];
  await mutate(CreateMutation, { input: { portfolioId: id, name: "f" }, connections });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e", "f"]);

  const last = readPortfolio(id).links.edges.at(-1).node;
  await mutate(UpdateMutation, { input: { id: last.nodeId, name: "g" } });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e", "g"]);

  await mutate(DeleteMutation, { input: { id: last.nodeId }, connections });
  assert.deepEqual(names(), ["a", "b", "c", "d", "e"]);
});

test("Relay stores objects of the same id apart", async () => {
  const data = await query(SameIDQuery, {});
  assert.deepEqual(data, { portfolio: { id: "1", name: "دمو" }, viewer: { id: "1", username: "demo" } });
});
