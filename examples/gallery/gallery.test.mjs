// Drives the built page in a browser against a running server. See README.md.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { after, before, test } from "node:test";
import { chromium } from "playwright-core";
import { preview } from "vite";
import { landscape } from "./landscape.mjs";

// FOREIGN_PORTFOLIO names a portfolio whose links have URLs that the API refuses.
const { PORTFOLIO_URL = "http://127.0.0.1:8000", SCREENSHOT, CHROMIUM = "/usr/bin/chromium", FOREIGN_PORTFOLIO } = process.env;
const token = process.env.PORTFOLIO_TOKEN ?? readFileSync("../../data/demo-token", "utf8").trim();

const demo = "دمو پروژه"; // the link of the demo

let vite, browser, page;
const consoleErrors = [];

before(async () => {
  assert.deepEqual(await names(), [demo], "the server must have the links of the demo only");
  vite = await preview({ preview: { host: "127.0.0.1", port: 0 } });
  browser = await chromium.launch({
    executablePath: CHROMIUM,
    args: ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update",
      "--disable-sync", "--no-first-run"],
  });
  page = await browser.newPage({ viewport: { width: 1280, height: 800 } });
  page.setDefaultTimeout(20_000);
  page.on("console", (message) => message.type() === "error" && consoleErrors.push(message.text()));
  page.on("pageerror", (error) => consoleErrors.push(String(error)));
  await page.goto(vite.resolvedUrls.local[0]);
});

after(async () => {
  await browser?.close();
  await vite?.close();
  if (!page) return;
  for (const { id, name } of await stored()) {
    if (name !== demo) await deleteLink(id);
  }
});

/** Sends an operation to the server, as another client would. */
async function api(query, variables, file) {
  const headers = { Authorization: `Bearer ${token}` };
  let body = JSON.stringify({ query, variables });
  if (file) {
    const form = new FormData();
    form.append("operations", body);
    form.append("map", JSON.stringify({ 0: ["variables.input.image"] }));
    form.append("0", new File([file.buffer], file.name, { type: file.mimeType }));
    body = form;
  } else {
    headers["Content-Type"] = "application/json";
  }
  const response = await fetch(`${PORTFOLIO_URL}/graphql`, { method: "POST", headers, body });
  const { data, errors } = await response.json();
  assert.equal(errors, undefined);
  return data;
}

const createLink = (input, file) => api(
  `mutation ($input: CreatePortfolioLinkInput!) { createPortfolioLink(input: $input) { portfolioLink { id } } }`,
  { input: { portfolioId: 1, ...input } }, file);

const deleteLink = (id) => api(
  `mutation ($id: ID!) { deletePortfolioLink(input: { id: $id }) { portfolioLink { id } } }`, { id });

const rename = (id, name) => api(
  `mutation ($input: UpdatePortfolioLinkInput!) { updatePortfolioLink(input: $input) { portfolioLink { id } } }`,
  { input: { id, name } });

/** Returns the links of the portfolio in their order. */
async function stored() {
  const { portfolioLinks } = await api(
    `{
      portfolioLinks(portfolioId: 1, orderBy: { field: POSITION }, first: 100) {
        nodes { id name url description imageData { id alt placeholder } }
      }
    }`);
  return portfolioLinks.nodes;
}

async function names() {
  return (await stored()).map(({ name }) => name);
}

const image = async (name, options) => {
  const data = await page.evaluate(landscape, options);
  return { name, mimeType: "image/jpeg", buffer: Buffer.from(data.slice(data.indexOf(",") + 1), "base64") };
};

const editButton = (name) => page.getByRole("button", { name: `Edit ${name}`, exact: true });

const card = (name) => page.getByRole("listitem").filter({ has: editButton(name) });

/** Waits until the page shows the links in an order. */
const shown = (...names) => page.waitForFunction((names) => {
  const labels = [...document.querySelectorAll(".card [aria-expanded]")].map((button) => button.ariaLabel);
  return JSON.stringify(labels) === JSON.stringify(names.map((name) => `Edit ${name}`));
}, names);

const status = (text) => page.getByRole("status").filter({ hasText: text }).waitFor({ state: "attached" });

/** Holds the requests of the page for a URL until the function that it returns is called, and then ends them. */
async function hold(url, end = (route) => route.continue()) {
  let send;
  const sent = new Promise((resolve) => { send = resolve; });
  await page.route(url, async (route) => {
    await sent;
    await end(route);
  });
  return async () => {
    send();
    await page.unrouteAll({ behavior: "wait" });
  };
}

async function signIn(token) {
  await page.getByLabel("Token").fill(token);
  await page.getByRole("button", { name: "Sign in" }).click();
}

async function edit(name) {
  await card(name).hover();
  await editButton(name).click();
  return page.getByRole("form", { name });
}

const save = (form) => form.getByRole("button", { name: "Save" }).click();

test("gallery", { skip: Boolean(SCREENSHOT) }, async (t) => {
  await t.test("rejects an invalid token", async () => {
    await signIn("invalid");
    await page.getByRole("alert").filter({ hasText: "The token is invalid." }).waitFor();
    assert.match(consoleErrors.splice(0).join(), /^Failed to load resource: .* 401 \(Unauthorized\)$/);
  });

  await t.test("shows the documented image", async () => {
    await signIn(token);
    const image = page.getByRole("img", { name: demo });
    await image.and(page.locator(".loaded")).waitFor();
    assert.equal(await image.getAttribute("width"), "225");
    assert.equal(await image.getAttribute("height"), "225");
    assert.match(await image.getAttribute("srcset"), / 64w, .* 225w$/);
  });

  await t.test("uploads images by button and drop", async () => {
    const sendImages = await hold("**/media/**");
    const files = [await image("a.jpg", { seed: 1 }), await image("b.jpg", { seed: 2 })];
    await page.getByLabel("Add images").setInputFiles(files);
    await shown(demo, "a", "b");
    await card("a").locator("canvas").waitFor();
    await sendImages();
    await card("a").locator("img.loaded").waitFor();
    await card("a").locator("canvas").waitFor({ state: "detached" });

    const { buffer } = await image("c.jpg", { seed: 3 });
    const dataTransfer = await page.evaluateHandle((bytes) => {
      const transfer = new DataTransfer();
      transfer.items.add(new File([Uint8Array.from(bytes)], "c.jpg", { type: "image/jpeg" }));
      return transfer;
    }, [...buffer]);
    await page.dispatchEvent("body", "dragover", { dataTransfer });
    await page.getByText("Drop images to add them").waitFor();
    await page.dispatchEvent("body", "drop", { dataTransfer });
    await shown(demo, "a", "b", "c");
    const links = await stored();
    assert.deepEqual(links.map(({ name }) => name), [demo, "a", "b", "c"]);
    assert.ok(links.slice(1).every(({ imageData }) => imageData.placeholder));
  });

  await t.test("shows why an upload fails", async () => {
    const file = { name: "d.png", mimeType: "image/png", buffer: Buffer.from("text") };
    await page.getByLabel("Add images").setInputFiles(file);
    await page.getByRole("alert").filter({ hasText: "image must be a JPEG, PNG, GIF or WebP file." }).waitFor();
    await page.getByRole("button", { name: "Dismiss" }).click();
    await page.getByRole("list", { name: "Uploads" }).getByRole("listitem").waitFor({ state: "detached" });
  });

  await t.test("edits, with errors beside the fields", async () => {
    const form = await edit("a");
    await form.getByLabel("Name").fill(" ");
    await form.getByLabel("URL").fill("example.com");
    await save(form);
    for (const [label, message] of [
      ["Name", "name must not be blank."],
      ["URL", "url must be an absolute http or https URL."],
    ]) {
      const field = form.getByLabel(label).and(page.locator("[aria-invalid=true]"));
      await field.waitFor();
      assert.equal(await field.evaluate((field) => field.ariaDescribedByElements[0].textContent), message);
    }
    await form.locator("[name=name]:focus").waitFor();
    await form.getByLabel("Name").fill("Alps");
    await form.getByLabel("URL").fill("https://example.com/alps");
    await form.getByLabel("Description").fill("Two days of snow");
    await form.getByLabel("Alternative text").fill("Hills at dawn");
    await save(form);
    await status("Saved Alps.");
    await editButton("Alps").and(page.locator(":focus")).waitFor();
    await page.getByRole("link", { name: "Hills at dawn" }).waitFor();
    const [, link] = await stored();
    assert.equal(link.name, "Alps");
    assert.equal(link.url, "https://example.com/alps");
    assert.equal(link.description, "Two days of snow");
    assert.equal(link.imageData.alt, "Hills at dawn");
  });

  await t.test("shows conflicts", async () => {
    const form = await edit("b");
    await form.getByLabel("Name").fill("mine");
    const [, , { id }] = await stored();
    await rename(id, "Theirs");
    const theirs = page.getByRole("form", { name: "Theirs" }); // its label changes, but not what was typed
    await save(theirs);
    const conflict = theirs.getByText("The object has changed since it was last read.");
    await conflict.waitFor();
    assert.deepEqual(await names(), [demo, "Alps", "Theirs", "c"]);
    await theirs.getByRole("button", { name: "Discard my changes and reload" }).click();
    await conflict.waitFor({ state: "detached" });
    assert.equal(await theirs.getByLabel("Name").inputValue(), "Theirs");
    await theirs.getByLabel("Name").fill("Bay");
    await save(theirs);
    await shown(demo, "Alps", "Bay", "c");
  });

  await t.test("replaces an image", async () => {
    const before = await stored();
    const form = await edit("Bay");
    await form.getByLabel("New image").setInputFiles(await image("bay.jpg", { seed: 4 }));
    await save(form);
    await form.waitFor({ state: "detached" });
    const after = await stored();
    assert.notEqual(after[2].imageData.id, before[2].imageData.id);
    assert.equal(after[1].imageData.id, before[1].imageData.id);
    await card("Bay").locator("img.loaded").waitFor();
  });

  await t.test("moves by keyboard", async () => {
    await page.getByRole("button", { name: "Move c back" }).focus();
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter"); // the button keeps the focus
    await status("Moved c to position 2.");
    await shown(demo, "c", "Alps", "Bay");
    assert.deepEqual(await names(), [demo, "c", "Alps", "Bay"]);
    await page.keyboard.press("Tab");
    await page.keyboard.press("Space");
    await status("Moved c to position 3.");
    assert.deepEqual(await names(), [demo, "Alps", "c", "Bay"]);
  });

  await t.test("moves by mouse", async () => {
    await card("Alps").locator(".picture").dragTo(card("Bay").locator(".picture"));
    await status("Moved Alps to position 4.");
    await shown(demo, "c", "Bay", "Alps");
    assert.deepEqual(await names(), [demo, "c", "Bay", "Alps"]);
  });

  await t.test("undoes a move that fails", async () => {
    const fail = await hold("**/graphql", (route) => route.abort());
    await page.getByRole("button", { name: "Move c forward" }).press("Enter");
    await shown(demo, "Bay", "c", "Alps");
    await fail();
    await page.getByRole("alert").filter({ hasText: "The server cannot be reached." }).waitFor();
    await shown(demo, "c", "Bay", "Alps");
    assert.deepEqual(await names(), [demo, "c", "Bay", "Alps"]);
    assert.match(consoleErrors.splice(0).join(), /^Failed to load resource: net::ERR_FAILED$/);
  });

  await t.test("shows what other clients change", async () => {
    const [, c, bay] = await stored();
    await deleteLink(bay.id);
    await shown(demo, "c", "Alps");
    const { createPortfolioLink: created } = await createLink({ name: "New", imageId: bay.imageData.id });
    await shown(demo, "c", "Alps", "New");
    await card("New").locator("img.loaded").waitFor();
    await rename(c.id, "C");
    await shown(demo, "C", "Alps", "New");
    await api(
      "mutation ($input: MovePortfolioLinkInput!) { movePortfolioLink(input: $input) { portfolioLink { id } } }",
      { input: { id: created.portfolioLink.id, beforeId: c.id } });
    await shown(demo, "New", "C", "Alps");
    await deleteLink(created.portfolioLink.id);
    await rename(c.id, "c");
    await shown(demo, "c", "Alps");
  });

  await t.test("loads more", async () => {
    for (let i = 1; i <= 12; i++) {
      await createLink({ name: `Link ${i}` });
    }
    await page.reload();
    const all = await names();
    await shown(...all.slice(0, 12));
    await page.getByRole("button", { name: "Load more" }).click();
    await shown(...all);
    assert.equal(all.length, 15);
    await page.getByRole("button", { name: "Load more" }).waitFor({ state: "detached" });
  });

  await t.test("deletes after a confirmation", async () => {
    const form = await edit("Alps");
    const dialog = page.getByRole("dialog");
    await form.getByRole("button", { name: "Delete" }).click();
    await dialog.getByRole("button", { name: "Cancel" }).click();
    await form.getByRole("button", { name: "Delete" }).click();
    assert.ok((await names()).includes("Alps"));
    await dialog.getByRole("button", { name: "Delete" }).click();
    await status("Deleted Alps.");
    await card("Alps").waitFor({ state: "detached" });
    await page.locator(".grid:focus").waitFor();
    assert.ok(!(await names()).includes("Alps"));
  });

  await t.test("shows URLs that cannot be opened as text", { skip: !FOREIGN_PORTFOLIO }, async () => {
    await page.getByLabel("Portfolio").selectOption({ label: FOREIGN_PORTFOLIO });
    const urls = { scheme: "example.com/a", script: "javascript:alert(1)", mail: "mailto:a@example.com", port: "http://example.com:x" };
    await shown(...Object.keys(urls));
    for (const [name, url] of Object.entries(urls)) {
      await card(name).getByText(url, { exact: true }).waitFor();
      assert.equal(await card(name).getByRole("link").count(), 0);
    }
    await page.getByLabel("Portfolio").selectOption("1");
  });

  await t.test("signs out", async () => {
    await page.getByRole("button", { name: "Sign out" }).click();
    await page.getByLabel("Token").waitFor();
    assert.equal(await page.evaluate(() => sessionStorage.getItem("token")), "");
  });

  assert.deepEqual(consoleErrors, []);
});

test("screenshot", { skip: !SCREENSHOT }, async () => {
  const links = [
    ["Ridge at dawn", "The first light reaches the ridge."],
    ["Blue hour", "Still water after sunset."],
    ["Desert", "Dunes under a high sun."],
    ["Northern forest", "Fog rises between the hills."],
    ["Violet evening", "The valley, an hour after the storm."],
    ["Coast", "Cliffs and a calm sea."],
    ["Red rocks", "A canyon in the afternoon."],
    ["Winter pass", "Fresh snow on the old road."],
  ];
  for (const [seed, [name, description]] of links.entries()) {
    const file = await image(`${name}.jpg`, { seed });
    await createLink({ name, description, url: "https://example.com", image: null }, file);
  }
  await signIn(token);
  for (const [name] of links) await card(name).locator("img.loaded").waitFor();
  await card(links[1][0]).hover();
  await page.screenshot({ path: SCREENSHOT, quality: 88, animations: "disabled" });
});
