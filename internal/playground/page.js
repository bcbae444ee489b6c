// Loads GraphiQL. If it cannot be loaded, it shows a simple form.

const config = JSON.parse(find("config").textContent);
const exampleHeader = "Token YOUR_KEY";
const loadTimeout = 8000; // milliseconds
const maxPreviews = 50;

function find(id) {
  return document.getElementById(id);
}

function create(name, properties, ...children) {
  const element = Object.assign(document.createElement(name), properties);
  element.append(...children);
  return element;
}

const jsonTypes = "application/graphql-response+json, application/json";

// send sends a request and returns the response, or a response with its own error. A
// subscription, which needs text/event-stream in accept, returns its results.
async function send(request, headers, accept = jsonTypes) {
  const failure = (message) => ({ errors: [{ message }] });
  const files = await chooseFiles(request);
  if (!files) return failure("No file was chosen.");
  let status = "";
  try {
    const sent = new Headers({ Accept: accept, ...headers });
    if (sent.get("Authorization") === exampleHeader) sent.delete("Authorization");
    if (files.size === 0) sent.set("Content-Type", "application/json");
    const body = files.size === 0 ? JSON.stringify(request) : createForm(request, files);
    const response = await fetch(config.endpoint, { method: "POST", headers: sent, body });
    status = ` with status ${response.status}`;
    if (response.headers.get("Content-Type")?.startsWith("text/event-stream")) return resultsOf(response.body);
    return await response.json();
  } catch (error) {
    return failure(`The request failed${status}: ${error.message}`);
  }
}

// resultsOf returns the results in a stream of server-sent events. Returning early ends
// the subscription.
function resultsOf(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  return {
    [Symbol.asyncIterator]() {
      return this;
    },
    async next() {
      for (;;) {
        const end = text.indexOf("\n\n");
        if (end >= 0) {
          const data = /^data: (.+)$/m.exec(text.slice(0, end)); // not in a comment, and empty at the end
          text = text.slice(end + 2);
          if (data) return { done: false, value: JSON.parse(data[1]) };
          continue;
        }
        const { done, value } = await reader.read();
        if (done) return { done };
        text += value;
      }
    },
    async return() {
      await reader.cancel();
      return { done: true };
    },
  };
}

// createForm returns the body of a request with files, as the GraphQL multipart
// request specification describes it.
function createForm(request, files) {
  const names = [...files.keys()];
  const variables = { ...request.variables, ...Object.fromEntries(names.map((name) => [name, null])) };
  const form = new FormData();
  form.append("operations", JSON.stringify({ ...request, variables }));
  form.append("map", JSON.stringify({ ...names.map((name) => [`variables.${name}`]) }));
  names.forEach((name, i) => form.append(i, files.get(name)));
  return form;
}

// chooseFiles asks for a file for each variable of type Upload that has no value.
// It returns them by name, or undefined if the user canceled.
async function chooseFiles({ query, variables }) {
  const inputs = new Map();
  for (const [, name, required] of query.replace(/#.*/g, "").matchAll(/\$(\w+)\s*:\s*Upload\b(!?)/g)) {
    if (variables?.[name] == null) inputs.set(name, create("input", { type: "file", required: Boolean(required) }));
  }
  if (inputs.size > 0) {
    find("files-inputs").replaceChildren(...Array.from(inputs, ([name, input]) => create("label", {}, name, input)));
    const dialog = find("files");
    dialog.returnValue = "";
    dialog.showModal();
    await new Promise((resolve) => dialog.addEventListener("close", resolve, { once: true }));
    if (dialog.returnValue !== "run") return undefined;
  }
  return new Map(Array.from(inputs, ([name, input]) => [name, input.files[0]]).filter(([, file]) => file));
}

// showPreviews shows the images of a response whose URLs it contains.
function showPreviews(response) {
  const images = Array.from(imageURLs(response.data)).slice(0, maxPreviews);
  find("previews").replaceChildren(
    ...images.map(([url, path]) =>
      create("a", { href: url, target: "_blank", title: path }, create("img", { src: url, alt: path, loading: "lazy" })),
    ),
  );
}

function* imageURLs(value, path = "data") {
  if (typeof value === "string" && isImage(value)) yield [value, path];
  if (typeof value !== "object" || value === null) return;
  for (const [key, inner] of Object.entries(value)) yield* imageURLs(inner, `${path}.${key}`);
}

function isImage(text) {
  if (!URL.canParse(text)) return false;
  const { protocol, host, href, pathname } = new URL(text);
  const isOurs = host === location.host || (config.mediaURL && href.startsWith(config.mediaURL));
  return isOurs && /^https?:$/.test(protocol) && /\.(gif|jpe?g|png|webp)$/i.test(pathname);
}

// storage separates the tabs from the tabs of other pages with GraphiQL on this host.
const prefix = "portfolio:";
const storage = {
  getItem: (key) => localStorage.getItem(prefix + key),
  setItem: (key, value) => localStorage.setItem(prefix + key, value),
  removeItem: (key) => localStorage.removeItem(prefix + key),
  clear: () => storedKeys().forEach((key) => localStorage.removeItem(key)),
  get length() {
    return storedKeys().length;
  },
};

function storedKeys() {
  return Object.keys(localStorage).filter((key) => key.startsWith(prefix));
}

async function showGraphiQL() {
  const { script, style, workers } = config.graphiql;
  globalThis.MonacoEnvironment = { getWorker: (_, label) => startWorker(workers[label] ?? workers.editor) };
  const deadline = AbortSignal.timeout(loadTimeout);
  await Promise.all([
    load(create("link", { rel: "stylesheet", href: address(style) }), style, deadline),
    load(create("script", { src: address(script) }), script, deadline),
  ]);
  const render = globalThis.renderGraphiQL ?? globalThis.YogaGraphiQL.renderYogaGraphiQL;
  const headers = JSON.stringify({ Authorization: config.token ? `Token ${config.token}` : exampleHeader }, null, 2);
  const failed = new Promise((_, reject) => {
    window.addEventListener("error", ({ error }) => error && reject(error));
  });
  const container = find("graphiql");
  let activeTab;
  render(container, {
    title: "Portfolio API",
    defaultHeaders: headers,
    defaultTabs: config.examples.map((example) => ({ ...example, headers })),
    inputValueDeprecation: true,
    plugins: [], // the history would store headers, which hold a token
    schemaDescription: true,
    shouldPersistHeaders: false,
    storage,
    onTabChange({ tabs, activeTabIndex }) {
      if (activeTabIndex !== activeTab) showPreviews(JSON.parse(tabs[activeTabIndex].response || "{}"));
      activeTab = activeTabIndex;
    },
    async fetcher({ query, variables, operationName }, options) {
      // Just after a change of tabs, operationName still belongs to the previous tab.
      const named = query.includes(operationName) ? operationName : undefined;
      const response = await send({ query, variables, operationName: named }, options?.headers, `${jsonTypes}, text/event-stream`);
      if (!response[Symbol.asyncIterator]) showPreviews(response);
      return response;
    },
    // Defaults of the build on the CDN that do not fit:
    initialQuery: undefined,
    logo: "",
    onEditQuery: undefined,
  });
  await Promise.race([failed, appearance(container, ".graphiql-query-editor .monaco-editor")]);
  find("simple-form").remove();
  // The build on the CDN has no other place for it.
  container.querySelector(".graphiql-response").append(create("div", { className: "graphiql-footer" }, create("div", { id: "previews" })));
}

function address({ name }) {
  return config.graphiql.base + name;
}

function load(element, { integrity = "" }, deadline) {
  return new Promise((resolve, reject) => {
    element.onload = resolve;
    element.onerror = reject;
    deadline.addEventListener("abort", reject);
    document.head.append(Object.assign(element, { crossOrigin: "anonymous", integrity }));
  });
}

function appearance(container, selector) {
  return new Promise((resolve) => {
    const observer = new MutationObserver(() => {
      if (!container.querySelector(selector)) return;
      observer.disconnect();
      resolve();
    });
    observer.observe(container, { childList: true, subtree: true });
  });
}

async function startWorker(file) {
  if (!file.integrity) return new Worker(address(file));
  const response = await fetch(address(file), { integrity: file.integrity }); // a worker cannot be started from another host
  return new Worker(URL.createObjectURL(await response.blob()));
}

function showForm() {
  find("graphiql").remove();
  document.querySelectorAll("link[rel=stylesheet], script[src]").forEach((element) => element.remove());
  find("simple-form").hidden = false;
  const example = find("example");
  const examples = config.examples.filter(({ query }) => !/^subscription/m.test(query)); // the form shows one result
  example.append(...examples.map(({ query }, i) => new Option(/\n(?:query|mutation) (\w+)/.exec(query)[1], i)));
  example.onchange = () => {
    const { query, variables = "" } = examples[example.value];
    find("query").value = query;
    find("query").setSelectionRange(0, 0);
    find("variables").value = variables;
  };
  example.onchange();
  find("token").value = config.token;
  const form = find("request");
  form.onkeydown = (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
  };
  find("variables").oninput = () => find("variables").setCustomValidity("");
  form.onsubmit = (event) => {
    event.preventDefault();
    if (form.ariaBusy !== "true") run(form);
  };
  find("query").focus();
}

async function run(form) {
  let variables;
  try {
    variables = JSON.parse(find("variables").value || "{}");
  } catch (error) {
    find("variables").setCustomValidity(`The variables are not JSON: ${error.message}.`);
    find("variables").reportValidity();
    return;
  }
  form.ariaBusy = "true";
  find("status").value = "Running…";
  const token = find("token").value.trim();
  const response = await send({ query: find("query").value, variables }, token && { Authorization: `Token ${token}` });
  form.ariaBusy = "false";
  const { errors = [] } = response;
  find("status").value = errors.length > 0 ? "Failed." : "Done.";
  find("errors").replaceChildren(
    ...errors.map(({ message, path = [], extensions = {} }) =>
      create("li", {}, message, create("small", {}, [extensions.code, path.concat(extensions.field ?? []).join(".")].filter(Boolean).join(", "))),
    ),
  );
  find("response").textContent = JSON.stringify(response, null, 2);
  showPreviews(response);
}

showGraphiQL().catch(showForm);
