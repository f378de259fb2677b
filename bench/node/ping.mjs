// Requests the smallest response repeatedly over one connection, and reports the response times.
//
//   node ping.mjs <port>
//
// For each line of input it prints {count, p50, max} of the responses since the last line, in ms.

import { connect } from "node:net";
import { createInterface } from "node:readline";

const GAP_MS = 2;
const [, , port] = process.argv;
const request = `GET / HTTP/1.1\r\nHost: 127.0.0.1:${port}\r\n\r\n`;
let took = [];
let asked = 0;

const socket = connect({ port: Number(port), host: "127.0.0.1", noDelay: true });

function ask() {
  asked = performance.now();
  socket.write(request);
}

let received = "";
socket.on("connect", ask);
socket.on("data", (data) => {
  received += data;
  if (!received.endsWith("}")) return;
  received = "";
  took.push(performance.now() - asked);
  setTimeout(ask, GAP_MS);
});

createInterface({ input: process.stdin }).on("line", () => {
  // A pending request counts with its waiting time so far.
  const all = [...took, performance.now() - asked].sort((a, b) => a - b);
  const found = { count: took.length, p50: all[all.length >> 1], max: all.at(-1) };
  process.stdout.write(`${JSON.stringify(found)}\n`);
  took = [];
}).on("close", () => process.exit());
