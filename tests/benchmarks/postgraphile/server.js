// PostGraphile as one production process: plain lists, a pool of connections, nothing watched, no GraphiQL.
import { createServer } from "node:http";
import { postgraphile } from "postgraphile";
import { makePgService } from "postgraphile/adaptors/pg";
import { grafserv } from "postgraphile/grafserv/node";
import { PostGraphileAmberPreset } from "postgraphile/presets/amber";

const preset = {
  extends: [PostGraphileAmberPreset],
  // Where the database is, and jit=off, stand in PGHOST, PGUSER, PGOPTIONS ...
  pgServices: [makePgService({ schemas: ["postgraphile"], poolConfig: { max: 10 } })],
  schema: { defaultBehavior: "-connection +list" },
  grafserv: { watch: false, graphiql: false },
};

const service = grafserv({ preset, schema: (await postgraphile(preset).getSchemaResult()).schema });
// Longer than one request keeps it from looking at its connections.
const server = createServer({ keepAliveTimeout: 75_000 });
await service.addTo(server);
server.listen(0, "127.0.0.1", () => console.log(`http://127.0.0.1:${server.address().port}`));
