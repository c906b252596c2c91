// One query and one subscription through each client, with a token; prints what each was given, as JSON.
import { createClient as createSseClient } from "graphql-sse";
import { createClient as createWsClient } from "graphql-ws";
import WebSocket from "ws";

const [url, token] = process.argv.slice(2);
const authorization = `Bearer ${token}`;

const clients = {
  "graphql-ws": createWsClient({
    url: url.replace(/^http/, "ws"),
    webSocketImpl: WebSocket,
    connectionParams: { Authorization: authorization },
    retryAttempts: 0,
  }),
  "graphql-sse": createSseClient({ url, headers: { authorization }, retryAttempts: 0 }),
};

const operations = [
  { query: "query Half($number: Int!) { half(number: $number) viewer }", variables: { number: 9 } },
  { query: "subscription { countdown(start: 2) { left } }" },
  { query: "subscription { nothing { left } }" },
];

function results(client, operation) {
  return new Promise((resolve) => {
    const given = [];
    client.subscribe(operation, {
      next: (result) => given.push(result),
      error: (errors) => resolve([...given, { errors }]),
      complete: () => resolve(given),
    });
  });
}

const answers = {};
for (const [name, client] of Object.entries(clients)) {
  answers[name] = [];
  for (const operation of operations) answers[name].push(await results(client, operation));
  client.dispose();
}
console.log(JSON.stringify(answers));
