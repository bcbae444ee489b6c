// Bundles GraphiQL and the workers of its editor into dist: compressed files with
// a hash of their content in their names, and graphiql.json, which names them.
import { createHash } from "node:crypto";
import { readdirSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";

import { build } from "esbuild";

const workers = {
  editor: "monaco-editor/esm/vs/editor/editor.worker.js",
  graphql: "monaco-graphql/esm/graphql.worker.js",
  json: "monaco-editor/esm/vs/language/json/json.worker.js",
};

const options = {
  bundle: true,
  define: { "process.env.NODE_ENV": '"production"' },
  format: "iife",
  jsx: "automatic",
  legalComments: "eof",
  minify: true,
  target: "es2022",
  write: false,
};

// bundle writes the bundle of an entry point and returns the name of the file.
async function bundle(entry, name, extension, loader) {
  const { outputFiles } = await build({ ...options, entryPoints: [entry], loader });
  const [{ contents }] = outputFiles;
  const hash = createHash("sha256").update(contents).digest("hex").slice(0, 16);
  const file = `${name}-${hash}.${extension}`;
  writeFileSync(`dist/${file}.gz`, gzipSync(contents, { level: 9 }));
  return { name: file };
}

for (const name of readdirSync("dist")) {
  if (name !== ".gitignore") rmSync(`dist/${name}`);
}
const graphiql = {
  base: "/playground/",
  // The style sheet of GraphiQL has all that its scripts import.
  script: await bundle("graphiql.jsx", "graphiql", "js", { ".css": "empty" }),
  style: await bundle("graphiql/style.css", "graphiql", "css"),
  workers: {},
};
for (const [name, entry] of Object.entries(workers)) {
  graphiql.workers[name] = await bundle(entry, `${name}-worker`, "js");
}
writeFileSync("dist/graphiql.json", JSON.stringify(graphiql, null, 2));
