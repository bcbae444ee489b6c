import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtemp, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { chromium } from "playwright-core";

const url = process.env.API_URL;
const cdn = JSON.parse(await readFile("../../internal/playground/cdn.json", "utf8")).base;
const html = await (await fetch(url, { headers: { Accept: "text/html" } })).text();
const built = !html.includes(cdn);

const directory = await mkdtemp(join(tmpdir(), "cdn-"));
let browser;
before(async () => {
  const quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
  browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--disable-gpu", "--no-sandbox", ...quiet],
  });
});
after(async () => {
  await browser?.close();
  await rm(directory, { recursive: true });
});

/**
 * Opens the playground. A function responds to the requests to the CDN. All others must
 * be to the server.
 */
async function openPlayground(t, respond) {
  const page = await browser.newPage();
  t.after(async () => {
    await page.unrouteAll({ behavior: "ignoreErrors" }); // a worker may still be loading
    await page.close();
  });
  const problems = [];
  page.on("console", (message) => ["error", "warning"].includes(message.type()) && problems.push(message.text()));
  page.on("pageerror", (error) => problems.push(error.stack));
  await page.route("**", (route) => {
    const requested = route.request().url();
    if (requested.startsWith(cdn)) return respond(route, requested.slice(cdn.length));
    if (requested.startsWith(`${url}/`) || requested.startsWith("blob:")) return route.continue();
    problems.push(`a request to ${requested}`);
    return route.abort();
  });
  await page.goto(url);
  return { page, problems };
}

/** Waits for the documented image and its thumbnails. */
async function checkImages(page) {
  const images = page.locator("#previews img");
  await page.waitForFunction(() => {
    const images = Array.from(document.querySelectorAll("#previews img"));
    return images.length === 5 && images[0].naturalWidth === 225;
  });
  assert.equal(await images.first().getAttribute("src"), `${url}/media/core_media/2025/12/02/technology.png`);
}

async function checkGraphiQL({ page, problems }) {
  await page.getByRole("button", { name: "Execute query" }).click();
  await checkImages(page);
  const response = await page.locator(".graphiql-response .view-lines").innerText();
  assert.match(response, /technology/);
  assert.deepEqual(problems, []);
}

/** Subscribes in a tab, and checks that it shows what another client changes, until it is stopped. */
async function checkSubscription(page) {
  const shown = (name) =>
    page.waitForFunction(
      (name) => document.querySelector(".graphiql-response .view-lines").innerText.includes(name),
      name,
    );
  const { token } = JSON.parse(await page.locator("#config").textContent());
  const create = (name) =>
    fetch(`${url}/graphql`, {
      method: "POST",
      headers: { "Content-Type": "application/json", Authorization: `Token ${token}` },
      body: JSON.stringify({
        query: `mutation { createPortfolioLink(input: { portfolioId: 1, name: "${name}" }) { portfolioLink { id } } }`,
      }),
    });
  await page.getByRole("tab", { name: "PortfolioChanged" }).click();
  await page.getByRole("button", { name: "Execute query" }).click();
  await shown("updatedAt");
  await create("Theirs");
  await shown("Theirs");
  await page.getByRole("button", { name: "Stop query" }).click();
  await page.getByRole("button", { name: "Execute query" }).waitFor();
}

test("the playground shows the documented link with GraphiQL of the server", { skip: !built }, async (t) => {
  const opened = await openPlayground(t, (route) => route.abort());
  await checkGraphiQL(opened);
  await checkSubscription(opened.page);
  assert.deepEqual(opened.problems, []);
});

test("the playground shows the documented link with GraphiQL of the CDN", { skip: built }, async (t) => {
  const [, packageName] = /\/npm\/(.*)\/dist\/$/.exec(cdn);
  execFileSync("npm", ["pack", "--silent", "--pack-destination", directory, packageName]);
  execFileSync("sh", ["-c", "tar -xzf *.tgz"], { cwd: directory });
  const opened = await openPlayground(t, (route, name) =>
    route.fulfill({ path: join(directory, "package/dist", name), headers: { "Access-Control-Allow-Origin": "*" } }),
  );
  await checkGraphiQL(opened);
  await checkSubscription(opened.page);
  assert.deepEqual(opened.problems, []);
});

test("the playground shows the documented link with a form", { skip: built }, async (t) => {
  const { page, problems } = await openPlayground(t, (route) => route.abort());
  await page.getByRole("button", { name: "Run" }).click();
  await checkImages(page);
  assert.match(await page.locator("#response").innerText(), /"humanReadableSize": "5.00 KB"/);
  assert.deepEqual(
    problems.filter((problem) => !problem.startsWith("Failed to load resource: net::ERR_FAILED")),
    [],
  );
});
