import { type Cache, cacheExchange, type UpdateResolver } from "@urql/exchange-graphcache";
import { relayPagination } from "@urql/exchange-graphcache/extras";
import { initGraphQLTada, type ResultOf } from "gql.tada";
import { Client, type CombinedError, fetchExchange, mapExchange } from "urql";
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
function changePages(cache: Cache, change: (links: string[], after: unknown) => string[], portfolioId?: unknown) {
  for (const { fieldName, fieldKey, arguments: args } of cache.inspectFields("Query")) {
    if (fieldName !== "portfolioLinks" || (portfolioId && args?.portfolioId !== portfolioId)) continue;
    const page = cache.resolve("Query", fieldKey) as string;
    cache.link(page, "nodes", change(cache.resolve(page, "nodes") as string[], args?.after));
  }
}

const removeLink = (cache: Cache, id: unknown) =>
  changePages(cache, (links) => links.filter((link) => link !== `PortfolioLink:${id}`));

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
};

export function createClient(token: string, onRefused: (message: string) => void) {
  return new Client({
    url: "/graphql",
    preferGetMethod: false,
    fetchOptions: { headers: { authorization: `Bearer ${token}` } },
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
    ],
  });
}

/** The formats that the server accepts, for file inputs. */
export const imageTypes = "image/jpeg,image/png,image/gif,image/webp";

/** Returns the text of an error for people. */
export const describe = (error: CombinedError) =>
  error.networkError ? "The server cannot be reached." : error.graphQLErrors.map(({ message }) => message).join(" ");
