// What all tests use: the server that TestClients starts, and its demo.

import assert from "node:assert/strict";
import { after } from "node:test";

const API_URL = process.env.API_URL;

/** Sends an operation as an admin and returns its data. */
export async function asAdmin(query, variables) {
  const response = await fetch(`${API_URL}/graphql`, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${process.env.ADMIN_TOKEN}` },
    body: JSON.stringify({ query, variables }),
  });
  const { data, errors } = await response.json();
  if (errors) throw new Error(JSON.stringify(errors));
  return data;
}

async function control(path, body) {
  const response = await fetch(process.env.CONTROL_URL + path, { method: "POST", body });
  assert.ok(response.ok);
}

/** Runs a statement of SQL, as another program does. */
export const sql = (statement) => control("/sql", statement);

/** Restarts the server at LIVE_URL. While it is down, it runs a statement of SQL. */
export const restart = (statement) => control("/restart", statement);

/** Creates a portfolio with links of the given names and returns its ID. */
export async function createPortfolio(...names) {
  const created = await asAdmin('mutation { createPortfolio(input: { name: "New" }) { portfolio { id } } }');
  const portfolioId = created.createPortfolio.portfolio.id;
  for (const name of names) {
    await asAdmin(
      "mutation ($input: CreatePortfolioLinkInput!) { createPortfolioLink(input: $input) { portfolioLink { id } } }",
      { input: { portfolioId, name } },
    );
  }
  return portfolioId;
}

/** The documented query. */
export const documentedQuery = `
  query DocumentedLink {
    portfolioLink(portfolioId: 1, id: 4) {
      id
      name
      url
      imageData {
        id
        url
        size
        humanReadableSize
        thumbnails {
          id
          url
          size
        }
      }
      description
      createdAt
    }
  }
`;

const image = `${API_URL}/media/core_media/2025/12/02/technology.png`;
const thumbnails = [
  [213, 64],
  [214, 128],
  [215, 512],
  [216, 1080],
].map(([id, size]) => ({
  id,
  url: `${API_URL}/media/core_media/2026/02/02/thumbnails/test2_ecH0zVV_thumbnail_${size}x${size}.jpg`,
  size,
}));
const link = {
  name: "دمو پروژه",
  url: "https://moeinsoft.com/demo",
  description: "لینک مشاهده دمو",
};

/** The response to the documented query. */
export const documentedLink = {
  id: "4",
  ...link,
  imageData: {
    id: "6",
    url: image,
    size: 5123,
    humanReadableSize: "5.00 KB",
    thumbnails: thumbnails.map(({ id, url, size }) => ({ id: String(id), url, size })),
  },
  createdAt: "2026-01-13T10:05:43.296270Z",
};

/** The response of the legacy endpoint for the same link. */
export const documentedLegacyLink = {
  id: 4,
  ...link,
  image_data: {
    id: 6,
    type: "image",
    name: "technology",
    size: 5123,
    human_readable_size: "5.00 KB",
    f: image,
    width: 225,
    height: 225,
    mode: "P",
    thumbnails: thumbnails.map(({ id, url, size }) => ({ id, f: url, size })),
  },
  created_at: "2026-01-13T10:05:43.296270Z",
  updated_at: "2026-01-13T10:05:43.296310Z",
};

/** Returns a value without the fields that a client adds or that a test does not compare. */
export function without(value, ...names) {
  return JSON.parse(JSON.stringify(value, (name, field) => (names.includes(name) ? undefined : field)));
}

/** The file of the documented image. */
export async function demoImage() {
  const response = await fetch(documentedLink.imageData.url);
  return new File([await response.arrayBuffer()], "technology.png", { type: "image/png" });
}

/** Forms with errors, and the messages to show beside their fields. */
export const forms = [
  {
    input: { portfolioId: 1, url: 5, description: ["a"], imageId: true, color: "red" },
    messages: {
      name: "name is required.",
      url: "url must be a string.",
      description: "description must be a string.",
      imageId: "imageId must be a 64-bit whole number or a nodeId.",
      color: "color is not a field of CreatePortfolioLinkInput.",
    },
  },
  {
    input: { portfolioId: 1, name: " ", url: "example.com" },
    messages: { name: "name must not be blank.", url: "url must be an absolute http or https URL." },
  },
];

/** Returns fetch, except that it adds to a list how each request was sent. */
export function recordingFetch(requests) {
  return (url, options) => {
    const hasText = new URL(url).searchParams.has("query") || "query" in JSON.parse(options.body ?? "{}");
    requests.push(`${options.method} ${hasText ? "with" : "without"} text`);
    return fetch(url, options);
  };
}

// Clients report errors in their setup on the console.
const warnings = [];
console.warn = console.error = (...words) => warnings.push(words.join(" "));
after(() => assert.deepEqual(warnings, []));
