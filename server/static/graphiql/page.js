// The page behind GET /graphql in a browser: GraphiQL, with the token in its headers editor.
"use strict";

const DEFAULT_QUERY = `# Sign in, then put the token into Headers below: {"Authorization": "Bearer TOKEN"}
mutation SignIn {
  login(input: { username: "operator", password: "" }) {
    token
    expiresAt
    errors { code message }
  }
}

query Me {
  viewer {
    username
    balance
    available
    customers(first: 10) {
      edges { node { username balance blocked } }
    }
  }
}

# Runs over a WebSocket, with the same token.
subscription Balances {
  balanceChanged(includeDescendants: true) {
    account { username }
    balance
    held
    version
    cause
  }
}
`;

const url = location.origin + location.pathname;

ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url, subscriptionUrl: url.replace(/^http/, "ws") }),
    defaultEditorToolsVisibility: "headers",
    defaultQuery: DEFAULT_QUERY,
    defaultHeaders: '{\n  "Authorization": "Bearer "\n}',
  }),
);
