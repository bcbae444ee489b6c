import assert from "node:assert/strict";
import { test } from "node:test";

import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { Client, gql as urqlGql } from "@urql/core";
import { cacheExchange } from "@urql/exchange-graphcache";
import relay from "relay-runtime";

import { asAdmin, createPortfolio, restart, sql } from "./api.mjs";
import SubscriptionQuery from "./relay/__generated__/PortfolioSubscriptionQuery.graphql.js";
import PortfolioSubscription from "./relay/__generated__/PortfolioSubscription.graphql.js";

import { ApolloLink } from "@apollo/client";
import { GraphQLWsLink } from "@apollo/client/link/subscriptions";
import { OperationTypeNode } from "graphql";
import { createClient } from "graphql-ws";
import WebSocket from "ws"; // browsers have it

import { fetchExchange, subscriptionExchange } from "@urql/core";
import * as sse from "graphql-sse";

const { Environment, fetchQuery, Network, Observable, RecordSource, requestSubscription, Store } = relay;

const token = process.env.API_TOKEN;
const url = `${process.env.LIVE_URL}/graphql`; // of a server that a test restarts
const wait = () => new Promise((resolve) => setTimeout(resolve, 50)); // instead of seconds

const webSocketClient = () =>
  createClient({
    url: url.replace("http", "ws"),
    connectionParams: { Authorization: `Bearer ${token}` },
    shouldRetry: () => true, // also while the server does not run
    retryAttempts: Infinity,
    retryWait: wait,
    webSocketImpl: WebSocket,
  });

/**
 * Checks that a client sees what others change. The function subscribe receives the ID of
 * a portfolio and a function to call with the names of its links, each time they change,
 * and returns a function that ends the subscription.
 */
async function checkSubscription(t, subscribe) {
  const portfolioId = await createPortfolio("a");
  let shown = [];
  let check = () => {};
  const until = (expected) =>
    new Promise((resolve) => {
      check = () => isDeepEqual(shown, expected) && resolve();
      check();
    });
  t.after(
    subscribe(portfolioId, (names) => {
      shown = names;
      check();
    }),
  );
  await until(["a"]);
  await asAdmin(
    "mutation ($input: CreatePortfolioLinkInput!) { createPortfolioLink(input: $input) { portfolioLink { id } } }",
    { input: { portfolioId, name: "b" } },
  );
  await until(["a", "b"]);
  await sql(`UPDATE portfolio_links SET name = 'c' WHERE portfolio_id = ${portfolioId} AND name = 'b'`);
  await until(["a", "c"]);
  await restart(`UPDATE portfolio_links SET name = 'd' WHERE portfolio_id = ${portfolioId} AND name = 'c'`);
  await until(["a", "d"]);
  await sql(`DELETE FROM portfolio_links WHERE portfolio_id = ${portfolioId} AND name = 'a'`);
  await until(["d"]);
}

const isDeepEqual = (a, b) => JSON.stringify(a) === JSON.stringify(b);

const namesOf = ({ links }) => links.nodes.map(({ name }) => name);

test("Apollo Client subscribes with graphql-ws", { timeout: 60_000 }, (t) => {
  const http = new HttpLink({ uri: url, headers: { Authorization: `Bearer ${token}` } });
  const ws = new GraphQLWsLink(webSocketClient());
  const client = new ApolloClient({
    link: ApolloLink.split(({ operationType }) => operationType === OperationTypeNode.SUBSCRIPTION, ws, http),
    cache: new InMemoryCache(),
  });
  return checkSubscription(t, (id, show) => {
    const page = client.watchQuery({
      query: gql`
        query ShownByApollo($id: ID!) {
          portfolio(id: $id) {
            id
            links(first: 100, orderBy: { field: POSITION }) {
              nodes {
                id
                name
              }
            }
          }
        }
      `,
      variables: { id },
    });
    const changes = client.subscribe({
      query: gql`
        subscription ChangedForApollo($id: ID!) {
          portfolioChanged(portfolioId: $id) {
            id
            links(first: 100, orderBy: { field: POSITION }) {
              nodes {
                id
                name
              }
            }
          }
        }
      `,
      variables: { id },
    });
    // Each event updates the cache, and with it the page.
    const shown = page.subscribe(({ data, dataState }) => dataState === "complete" && show(namesOf(data.portfolio)));
    const subscribed = changes.subscribe(({ error }) => assert.equal(error, undefined));
    return () => {
      shown.unsubscribe();
      subscribed.unsubscribe();
    };
  });
});

test("urql subscribes with graphql-sse", { timeout: 60_000 }, (t) => {
  const events = sse.createClient({
    url,
    headers: { Authorization: `Bearer ${token}` },
    retryAttempts: Infinity,
    retry: wait,
  });
  const client = new Client({
    url,
    fetchOptions: { headers: { Authorization: `Bearer ${token}` } },
    exchanges: [
      cacheExchange({}),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: (request) => ({
          subscribe: (sink) => ({ unsubscribe: events.subscribe(request, sink) }),
        }),
      }),
    ],
  });
  return checkSubscription(t, (id, show) => {
    const page = client.query(
      urqlGql`
        query ShownByUrql($id: ID!) {
          portfolio(id: $id) {
            id
            links(first: 100, orderBy: { field: POSITION }) {
              nodes {
                id
                name
              }
            }
          }
        }
      `,
      { id },
    );
    const changes = client.subscription(
      urqlGql`
        subscription ChangedForUrql($id: ID!) {
          portfolioChanged(portfolioId: $id) {
            id
            links(first: 100, orderBy: { field: POSITION }) {
              nodes {
                id
                name
              }
            }
          }
        }
      `,
      { id },
    );
    const shown = page.subscribe(({ data }) => data && show(namesOf(data.portfolio)));
    const subscribed = changes.subscribe(({ error }) => assert.equal(error, undefined));
    return () => {
      shown.unsubscribe();
      subscribed.unsubscribe();
    };
  });
});

test("urql subscribes without another library", async () => {
  const client = new Client({
    url,
    fetchOptions: { headers: { Authorization: `Bearer ${token}` } },
    fetchSubscriptions: true,
    exchanges: [fetchExchange],
  });
  const { data, error } = await new Promise((resolve) => {
    const changes = client.subscription("subscription { portfolioChanged(portfolioId: 1) { id } }", {});
    const { unsubscribe } = changes.subscribe((result) => {
      setTimeout(() => unsubscribe());
      resolve(result);
    });
  });
  assert.equal(error, undefined);
  assert.equal(data.portfolioChanged.id, "1");
});

test("Relay subscribes to a persisted document", { timeout: 60_000 }, (t) => {
  const client = webSocketClient();
  const environment = new Environment({
    store: new Store(new RecordSource()),
    getDataID: (object) => object.nodeId,
    network: Network.create(
      async ({ id }, variables) => {
        const response = await fetch(url, {
          method: "POST",
          headers: { "Content-Type": "application/json", Authorization: `Bearer ${token}` },
          body: JSON.stringify({ documentId: id, variables }),
        });
        return response.json();
      },
      ({ id, text, name }, variables) =>
        Observable.create((sink) =>
          client.subscribe({ documentId: id, query: text ?? "", operationName: name, variables }, sink),
        ),
    ),
  });
  return checkSubscription(t, (id, show) => {
    const { fragment } = relay.createOperationDescriptor(relay.getRequest(SubscriptionQuery), { id });
    const showStored = ({ data }) => data.portfolio?.links && show(namesOf(data.portfolio));
    let shown;
    fetchQuery(environment, SubscriptionQuery, { id }).subscribe({
      complete() {
        const stored = environment.lookup(fragment);
        showStored(stored);
        shown = environment.subscribe(stored, showStored);
      },
    });
    const subscribed = requestSubscription(environment, {
      subscription: PortfolioSubscription,
      variables: { id },
      onError: (error) => assert.fail(error),
    });
    return () => {
      shown?.dispose();
      subscribed.dispose();
    };
  });
});

test("a subscription of an unknown token is refused", async () => {
  const client = createClient({
    url: url.replace("http", "ws"),
    connectionParams: { Authorization: "Bearer nobody" },
    webSocketImpl: WebSocket,
    retryAttempts: 0,
  });
  const sink = { next: () => {}, complete: () => {} };
  const closed = await new Promise((error) => client.subscribe({ query: "{ __typename }" }, { ...sink, error }));
  assert.deepEqual([closed.code, closed.reason], [4403, "Forbidden"]);
});
