import type { CodegenConfig } from "@graphql-codegen/cli";
import { addTypenameSelectionDocumentTransform } from "@graphql-codegen/client-preset";

const config: CodegenConfig = {
  schema: `${process.env.API_URL}/graphql`,
  documents: "src/**/*.ts",
  importExtension: ".js", // as Node requires
  generates: {
    "src/gql/": {
      preset: "client",
      documentTransforms: [addTypenameSelectionDocumentTransform], // caches need __typename
      presetConfig: { persistedDocuments: true },
      config: {
        strictScalars: true,
        scalars: {
          BigInt: "number",
          DateTime: "string",
          ID: { input: "string | number", output: "string" },
          Upload: "File",
          URL: "string",
        },
      },
    },
  },
};
export default config;
