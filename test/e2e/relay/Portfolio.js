// Only the compiler reads this file.
import { graphql } from "relay-runtime";

graphql`
  query PortfolioQuery($id: ID!) {
    portfolio(id: $id) {
      ...Portfolio_links
    }
  }
`;

graphql`
  fragment Portfolio_links on Portfolio
  @refetchable(queryName: "PortfolioLinksQuery")
  @argumentDefinitions(first: { type: "Int", defaultValue: 2 }, after: { type: "String" }) {
    links(first: $first, after: $after) @connection(key: "Portfolio_links") {
      __id
      edges {
        node {
          nodeId
          name
        }
      }
    }
  }
`;

graphql`
  mutation PortfolioCreateMutation($input: CreatePortfolioLinkInput!, $connections: [ID!]!) {
    createPortfolioLink(input: $input) {
      portfolioLink @appendNode(connections: $connections, edgeTypeName: "PortfolioLinkEdge") {
        name
      }
    }
  }
`;

graphql`
  mutation PortfolioUpdateMutation($input: UpdatePortfolioLinkInput!) {
    updatePortfolioLink(input: $input) {
      portfolioLink {
        name
      }
    }
  }
`;

graphql`
  mutation PortfolioDeleteMutation($input: DeletePortfolioLinkInput!, $connections: [ID!]!) {
    deletePortfolioLink(input: $input) {
      deletedNodeId @deleteEdge(connections: $connections)
    }
  }
`;

graphql`
  query PortfolioSubscriptionQuery($id: ID!) {
    portfolio(id: $id) {
      links(first: 100, orderBy: { field: POSITION }) {
        nodes {
          name
        }
      }
    }
  }
`;

graphql`
  subscription PortfolioSubscription($id: ID!) {
    portfolioChanged(portfolioId: $id) {
      links(first: 100, orderBy: { field: POSITION }) {
        nodes {
          name
        }
      }
    }
  }
`;

// The portfolio and the viewer have the same id.
graphql`
  query PortfolioSameIDQuery {
    portfolio(id: 1) {
      id
      name
    }
    viewer {
      id
      username
    }
  }
`;
