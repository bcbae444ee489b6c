// Answers requests as graphql-js does, for FuzzDifferential in differential_test.go: one JSON
// object on each line of standard input and output. The first line has the schema and the
// rows of the server.

import { createInterface } from "node:readline";

import * as graphql16 from "graphql";
import * as graphql17 from "graphql17";

/** Thrown by a resolver for what only the server can execute, such as a filter. */
class Unsupported extends Error {}

// What is accepted for each scalar of the server. The test sends no other forms.
const scalars = {
  ID: (value) => (typeof value === "string" ? isId(value) : Number.isInteger(value)),
  DateTime: (value) => typeof value === "string" && /^\d{4}-\d\d-\d\dT[\d:]{8}Z$/.test(value),
  URL: (value) => typeof value === "string",
  Upload: () => false,
};

/** Reports whether a text is a number or a nodeId. */
function isId(text) {
  const nodeId = Buffer.from(text, "base64").toString();
  return /^-?\d{1,18}$/.test(text) || (/^[A-Za-z]+:(0|[1-9]\d*)$/.test(nodeId) && Buffer.from(nodeId).toString("base64") === text);
}

function buildSchema(graphql, text) {
  const schema = graphql.buildSchema(text);
  for (const [name, accepts] of Object.entries(scalars)) {
    const check = (value) => {
      if (!accepts(value)) throw new graphql.GraphQLError(`not a ${name}`);
      return value;
    };
    const checkLiteral = (node) => {
      if (node.kind !== "StringValue" && node.kind !== "IntValue") throw new graphql.GraphQLError(`not a ${name}`);
      return check(node.kind === "IntValue" ? Number(node.value) : node.value);
    };
    const type = schema.getType(name);
    type.parseValue = type.coerceInputValue = check;
    type.parseLiteral = type.coerceInputLiteral = checkLiteral;
  }
  return schema;
}

let world;

/** Returns the object of a type with an ID, which is a number or a nodeId of that type. */
function find(type, id) {
  if (id === null || id === undefined) return null;
  let number = String(id);
  if (!/^-?\d+$/.test(number)) {
    const [name, digits] = Buffer.from(number, "base64").toString().split(":");
    if (name !== type) throw new Error("another type");
    number = digits;
  }
  return world[type].find((object) => object.id === number) ?? null;
}

/** Returns the object with a nodeId. */
function findNode(nodeId) {
  const [type] = Buffer.from(String(nodeId), "base64").toString().split(":");
  if (!Object.hasOwn(world, type)) throw new Error("not a nodeId");
  return Object.values(world).flat().find((object) => object.nodeId === nodeId) ?? null;
}

/** Returns a page of a list, which begins at the first entry. */
function page(objects, { first, ...others }) {
  if (Object.keys(others).length > 0) throw new Unsupported();
  if (first !== null && first !== undefined && (first < 1 || first > 100)) throw new Error("first");
  const nodes = objects.slice(0, first ?? 20);
  return {
    nodes,
    edges: nodes.map((node) => ({ node })),
    pageInfo: { hasNextPage: nodes.length < objects.length, hasPreviousPage: false },
    totalCount: objects.length,
  };
}

const resolvers = {
  "Query.portfolio": (_, { id }) => find("Portfolio", id),
  "Query.image": (_, { id }) => find("Image", id),
  "Query.portfolioLink": (_, { portfolioId, id }) => {
    const link = find("PortfolioLink", id);
    if (portfolioId === null || portfolioId === undefined) return link;
    const portfolio = find("Portfolio", portfolioId);
    return link?.portfolio.id === portfolio?.id ? link : null;
  },
  "Query.node": (_, { nodeId }) => findNode(nodeId),
  "Query.nodes": (_, { nodeIds }) => nodeIds.map(findNode),
  "Query.portfolios": (_, args) => page(world.Portfolio, args),
  "Query.images": (_, args) => page(world.Image, args),
  "Query.users": (_, args) => page(world.User, args),
  "Query.tokens": (_, args) => page(world.Token, args),
  "Query.portfolioLinks": (_, { portfolioId, ...args }) => {
    if (portfolioId !== undefined) throw new Unsupported();
    return page(world.PortfolioLink, args);
  },
  "Query.viewer": () => world.User.find(({ username }) => username === "admin"),
  "Portfolio.links": ({ id }, args) => page(world.PortfolioLink.filter(({ portfolio }) => portfolio.id === id), args),
  "Image.links": ({ id }, args) => page(world.PortfolioLink.filter(({ imageData }) => imageData?.id === id), args),
  "Image.thumbnail": ({ thumbnails }, { size }) =>
    thumbnails.filter((thumbnail) => thumbnail.size >= size && thumbnail.size !== null).sort((a, b) => a.size - b.size)[0] ?? null,
  "PortfolioLink.portfolio": ({ portfolio }) => find("Portfolio", portfolio.id),
  "PortfolioLink.imageData": ({ imageData }) => find("Image", imageData?.id),
  "PortfolioLink.previous": ({ previous }) => find("PortfolioLink", previous?.id),
  "PortfolioLink.next": ({ next }) => find("PortfolioLink", next?.id),
};

function resolve(source, args, _, { parentType, fieldName }) {
  const resolver = resolvers[`${parentType.name}.${fieldName}`];
  if (resolver) return resolver(source, args);
  if (source?.[fieldName] === undefined) throw new Unsupported();
  return source[fieldName];
}

/** Returns what a version of graphql-js does with a request. */
function answer(graphql, schema, { query, operationName, variables }) {
  let document, errors;
  try {
    document = graphql.parse(query);
    errors = graphql.validate(schema, document);
  } catch (error) {
    errors = [error];
  }
  if (errors.length > 0) {
    return { errors: errors.map(({ message }) => message), locations: errors.flatMap(({ locations }) => locations ?? []) };
  }
  const operation = graphql.getOperationAST(document, operationName);
  if (!operation) return { valid: true, errors: ["operationName"] };
  const values = graphql.getVariableValues(schema, operation.variableDefinitions ?? [], variables);
  if (values.errors) return { valid: true, errors: values.errors.map(({ message }) => message) };
  const coerced = values.coerced ?? values.variableValues.coerced;
  if (operation.operation !== "query") return { valid: true, coerced };
  const result = graphql.executeSync({
    schema, document, operationName, variableValues: variables, fieldResolver: resolve, typeResolver: ({ __typename }) => __typename,
  });
  if (result.errors?.some(({ originalError }) => originalError instanceof Unsupported)) return { valid: true, coerced };
  return { valid: true, coerced, data: JSON.stringify(result.data), paths: (result.errors ?? []).map(({ path }) => path ?? []) };
}

let schemas;
for await (const line of createInterface({ input: process.stdin })) {
  const request = JSON.parse(line);
  if (!schemas) {
    schemas = [graphql16, graphql17].map((graphql) => [graphql, buildSchema(graphql, request.schema)]);
    world = request.world;
    continue;
  }
  console.log(JSON.stringify(schemas.map(([graphql, schema]) => answer(graphql, schema, request))));
}
