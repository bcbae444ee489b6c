import { type Cache, cacheExchange, type UpdateResolver } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { initGraphQLTada, type ResultOf } from "gql.tada";
import { createClient as createEventClient } from "graphql-sse";
import { Client, type CombinedError, fetchExchange, mapExchange, subscriptionExchange } from "urql";
import type { introspection } from "./graphql-env.d.ts";

const graphql = initGraphQLTada<{
  introspection: introspection;
  disableMasking: true;
  scalars: { DateTime: string; Upload: File; URL: string };
}>();

const ImageFields = graphql(`
  fragment ImageFields on Image { id alt url srcset width height placeholder }
`);

const LinkFields = graphql(`
  fragment LinkFields on PortfolioLink {
    id name url description position updatedAt
    imageData { ...ImageFields }
  }
`, [ImageFields]);

export type Image = ResultOf<typeof ImageFields>;
export type Link = ResultOf<typeof LinkFields>;

export const Portfolios = graphql(`
  query Portfolios { portfolios(first: 100) { nodes { id name } } }
`);

export const Links = graphql(`
  query Links($portfolioId: ID!, $after: String) {
    portfolioLinks(portfolioId: $portfolioId, orderBy: { field: POSITION }, first: 12, after: $after) {
      nodes { ...LinkFields }
      pageInfo { hasNextPage endCursor }
    }
  }
`, [LinkFields]);

/** The links of a portfolio whenever they change, up to 100. */
export const LinksChanged = graphql(`
  subscription LinksChanged($portfolioId: ID!) {
    portfolioChanged(portfolioId: $portfolioId) {
      id name
      links(orderBy: { field: POSITION }, first: 100) {
        nodes { ...LinkFields }
        pageInfo { hasNextPage }
      }
    }
  }
`, [LinkFields]);

export const ReloadLink = graphql(`
  query ReloadLink($id: ID!) { portfolioLink(id: $id) { ...LinkFields } }
`, [LinkFields]);

export const CreateLink = graphql(`
  mutation CreateLink($input: CreatePortfolioLinkInput!) {
    createPortfolioLink(input: $input) { portfolioLink { ...LinkFields } }
  }
`, [LinkFields]);

export const UpdateLink = graphql(`
  mutation UpdateLink($input: UpdatePortfolioLinkInput!) {
    updatePortfolioLink(input: $input) { portfolioLink { ...LinkFields } }
  }
`, [LinkFields]);

export const MoveLink = graphql(`
  mutation MoveLink($input: MovePortfolioLinkInput!) {
    movePortfolioLink(input: $input) { portfolioLink { id position updatedAt } }
  }
`);

export const DeleteLink = graphql(`
  mutation DeleteLink($id: ID!) {
    deletePortfolioLink(input: { id: $id }) { portfolioLink { id } }
  }
`);

export const UpdateImage = graphql(`
  mutation UpdateImage($input: UpdateImageInput!) {
    updateImage(input: $input) { image { id alt } }
  }
`);

/** Changes the links on each page of the portfolio, or of all, that the cache holds. */
function changePages(
  cache: Cache, change: (links: string[], after: unknown, hasNextPage: unknown) => string[], portfolioId?: unknown,
) {
  for (const { fieldName, fieldKey, arguments: args } of cache.inspectFields("Query")) {
    if (fieldName !== "portfolioLinks" || (portfolioId && args?.portfolioId !== portfolioId)) continue;
    const page = cache.resolve("Query", fieldKey) as string;
    const hasNextPage = cache.resolve(cache.resolve(page, "pageInfo") as string, "hasNextPage");
    cache.link(page, "nodes", change(cache.resolve(page, "nodes") as string[], args?.after, hasNextPage));
  }
}

const removeLink = (cache: Cache, id: unknown) =>
  changePages(cache, (links) => links.filter((link) => link !== `PortfolioLink:${id}`));

/** Adds new links to the first page, unless there are pages to load, and removes others. */
function replaceLinks(cache: Cache, keys: string[], portfolioId: unknown) {
  let missing = keys;
  let complete = false;
  changePages(cache, (links, _, hasNextPage) => {
    missing = missing.filter((key) => !links.includes(key));
    complete ||= !hasNextPage;
    return links.filter((key) => keys.includes(key));
  }, portfolioId);
  if (complete) changePages(cache, (links, after) => (after ? links : [...links, ...missing]), portfolioId);
}

const updates: Record<string, Record<string, UpdateResolver>> = {
  Query: {
    portfolioLink(result, args, cache) {
      if (!result.portfolioLink) removeLink(cache, args.id);
    },
  },
  Mutation: {
    createPortfolioLink(result, args, cache) {
      const payload = result.createPortfolioLink as ResultOf<typeof CreateLink>["createPortfolioLink"];
      const { portfolioId } = args.input as { portfolioId: string };
      if (!payload) return;
      const key = `PortfolioLink:${payload.portfolioLink.id}`;
      changePages(cache, (links, after) => (after ? links : [...links, key]), portfolioId);
    },
    deletePortfolioLink(result, args, cache) {
      if (result.deletePortfolioLink) removeLink(cache, (args.input as { id: string }).id);
    },
  },
  Subscription: {
    portfolioChanged(result, { portfolioId }, cache) {
      const links = (result as ResultOf<typeof LinksChanged>).portfolioChanged?.links;
      if (!links || links.pageInfo.hasNextPage) return;
      replaceLinks(cache, (links.nodes ?? []).map(({ id }) => `PortfolioLink:${id}`), portfolioId);
    },
  },
};

export function createClient(token: string, onRefused: (message: string) => void) {
  const headers = { authorization: `Bearer ${token}` };
  const events = createEventClient({ url: "/graphql", headers, retryAttempts: Infinity });
  return new Client({
    url: "/graphql",
    preferGetMethod: false,
    fetchOptions: { headers },
    exchanges: [
      cacheExchange({ resolvers: { Query: { portfolioLinks: relayPagination() } }, updates }),
      mapExchange({
        onError(error) {
          const refused = error.graphQLErrors.find(({ extensions }) =>
            ["UNAUTHENTICATED", "FORBIDDEN"].includes(String(extensions.code)));
          if (refused) onRefused(refused.message);
        },
      }),
      fetchExchange,
      subscriptionExchange({
        forwardSubscription: ({ query, variables }) => ({
          subscribe: (sink) => ({ unsubscribe: events.subscribe({ query: query!, variables }, sink) }),
        }),
      }),
    ],
  });
}

/** The formats that the server accepts, for file inputs. */
export const imageTypes = "image/jpeg,image/png,image/gif,image/webp";

/** Returns the text of an error for people. */
export const describe = (error: CombinedError) =>
  error.networkError ? "The server cannot be reached." : error.graphQLErrors.map(({ message }) => message).join(" ");
