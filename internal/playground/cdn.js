// Prints cdn.json, which names the files of GraphiQL on a CDN and their hashes. The
// CDN serves the files of npm packages unchanged. GraphiQL's own package has no
// file that a browser can run.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

const packageName = "@graphql-yoga/graphiql@4.5.0"; // GraphiQL 5.2.0
const directory = mkdtempSync(join(tmpdir(), "cdn-"));
const options = { cwd: directory, encoding: "utf8" };
const [{ filename }] = JSON.parse(execFileSync("npm", ["pack", "--json", packageName], options));

function file(path) {
  const content = execFileSync("tar", ["xzOf", filename, `package/dist/${path}`], { ...options, encoding: "buffer", maxBuffer: 1 << 26 });
  const hash = createHash("sha384").update(content).digest("base64");
  return { name: path, integrity: `sha384-${hash}` };
}

const graphiql = {
  base: `https://cdn.jsdelivr.net/npm/${packageName}/dist/`,
  script: file("yoga-graphiql.umd.js"),
  style: file("graphiql.css"),
  workers: {
    editor: file("monacoeditorwork/editor.worker.bundle.js"),
    graphql: file("monacoeditorwork/graphql.worker..bundle.js"),
    json: file("monacoeditorwork/json.worker.bundle.js"),
  },
};
console.log(JSON.stringify(graphiql, null, 2));
rmSync(directory, { recursive: true });
