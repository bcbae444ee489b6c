import assert from "node:assert/strict";
import { readFile } from "node:fs/promises";
import { test } from "node:test";

import { diff } from "@graphql-inspector/core";
import { buildClientSchema, buildSchema, getIntrospectionQuery } from "graphql";

import { asAdmin } from "./api.mjs";

// Introspection does not show where directives such as @requires are used.
test("introspection describes schema.graphqls", async () => {
  const file = buildSchema(await readFile("../../schema.graphqls", "utf8"));
  const options = { descriptions: true, directiveIsRepeatable: true, inputValueDeprecation: true, specifiedByUrl: true };
  const served = buildClientSchema(await asAdmin(getIntrospectionQuery(options)));
  const changes = (await diff(file, served)).filter(({ type }) => !type.startsWith("DIRECTIVE_USAGE_"));
  assert.deepEqual(changes, []);
});
