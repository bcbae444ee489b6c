import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { test } from "node:test";
import { promisify } from "node:util";

import { documentedLegacyLink, documentedLink } from "./api.mjs";

test("Python's standard library reads the documented link", async (t) => {
  let output;
  try {
    output = await promisify(execFile)("python3", ["client.py"]);
  } catch (error) {
    if (error.code === "ENOENT" && !process.env.CI) return t.skip("install python3");
    throw error;
  }
  const lines = output.stdout.trim().split("\n").map((line) => JSON.parse(line));
  assert.deepEqual(lines, [{ data: { portfolioLink: { name: documentedLink.name } } }, documentedLegacyLink]);
});
