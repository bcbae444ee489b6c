import graphql from "@graphql-eslint/eslint-plugin";

export default [
  { ignores: ["build/", "relay/__generated__/", "schema.graphql"] },
  {
    files: ["schema.graphqls"],
    languageOptions: { parser: graphql.parser, parserOptions: { graphQLConfig: { schema: "../../schema.graphqls" } } },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/schema-all"].rules,
      ...graphql.configs["flat/schema-relay"].rules,
      // The schema is in the order of reading.
      "@graphql-eslint/alphabetize": "off",
      // Descriptions of one line are strings, longer ones are block strings. The rule
      // allows only one of them.
      "@graphql-eslint/description-style": "off",
      // The rule forbids mutations and subscriptions.
      "@graphql-eslint/no-root-type": "off",
      // "username" is one word, and nodeId is beside the id of the legacy system.
      "@graphql-eslint/no-typename-prefix": "off",
      // Lists that need no pages are plain lists.
      "@graphql-eslint/relay-edge-types": [
        "error",
        { withEdgeSuffix: true, shouldImplementNode: true, listTypeCanWrapOnlyEdgeType: false },
      ],
      "@graphql-eslint/require-description": [
        "error",
        {
          types: true,
          rootField: true,
          DirectiveDefinition: true,
          EnumValueDefinition: true,
          FieldDefinition: true,
          InputValueDefinition: true,
        },
      ],
      // Payloads have what the mutation changed. A query in each would run with the
      // slot of a mutation.
      "@graphql-eslint/require-field-of-type-query-in-mutation-result": "off",
      // Connections, edges and payloads are not objects of their own.
      "@graphql-eslint/strict-id-in-types": [
        "error",
        { exceptions: { suffixes: ["Connection", "Edge", "Payload"], types: ["PageInfo"] } },
      ],
    },
  },
  { files: ["*.test.mjs"], processor: graphql.processor },
  {
    files: ["*.test.mjs/*.graphql"],
    languageOptions: {
      parser: graphql.parser,
      parserOptions: { graphQLConfig: { schema: "../../schema.graphqls", documents: "*.test.mjs" } },
    },
    plugins: { "@graphql-eslint": graphql },
    rules: {
      ...graphql.configs["flat/operations-recommended"].rules,
      // Each file is a client of its own.
      "@graphql-eslint/unique-operation-name": "off",
    },
  },
];
