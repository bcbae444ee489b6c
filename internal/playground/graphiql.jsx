import { GraphiQL } from "graphiql";
import { createRoot } from "react-dom/client";

// page.js calls it once this file has loaded.
globalThis.renderGraphiQL = (element, { title, ...properties }) => {
  createRoot(element).render(
    <GraphiQL {...properties}>
      <GraphiQL.Logo>{title}</GraphiQL.Logo>
    </GraphiQL>,
  );
};
