// Supabase's address in front of PostgREST, as thin as possible. It also counts the traffic.
//
// It removes "/rest/v1" from each request line, answers requests for the published keys, and
// forwards all other bytes unchanged. Callers use the service role's token as their key, which
// PostgREST checks.
//
//   node gateway.mjs <port> <PostgREST's port> <port of the counters> < jwks.json

import { readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { connect, createServer } from "node:net";

const [port, postgrest, counters] = process.argv.slice(2).map(Number);
const keys = readFileSync(0);
const KEYS = Buffer.concat([
  Buffer.from(`HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: ${keys.length}\r\n\r\n`),
  keys,
]);
const count = { calls: {}, to_database: 0, from_database: 0, milliseconds: 0 };

createServer({ noDelay: true }, (client) => {
  const database = connect({ port: postgrest, host: "127.0.0.1", noDelay: true });
  // Callers do not pipeline, so the first bytes after a response start the next request.
  let answered = true;
  let started = 0;
  let last = 0;
  const settle = () => {
    if (last) count.milliseconds += last - started;
    last = 0;
  };
  client.on("data", (data) => {
    if (answered) {
      settle();
      const line = data.subarray(0, data.indexOf("\r\n")).toString();
      if (line.startsWith("GET /auth/v1/")) return client.write(KEYS);
      data = Buffer.concat([
        Buffer.from(line.replace("/rest/v1", "")), data.subarray(line.length),
      ]);
      const call = line.split(" ")[1].split("?")[0];
      count.calls[call] = (count.calls[call] ?? 0) + 1;
      answered = false;
      started = performance.now();
    }
    count.to_database += data.length;
    database.write(data);
  });
  database.on("data", (data) => {
    count.from_database += data.length;
    answered = true;
    last = performance.now();
    client.write(data);
  });
  const close = () => {
    settle();
    client.destroy();
    database.destroy();
  };
  for (const socket of [client, database]) socket.on("close", close).on("error", close);
}).listen(port, "127.0.0.1", 1024);

createHttpServer((request, response) => response.end(JSON.stringify(count)))
  .listen(counters, "127.0.0.1");
