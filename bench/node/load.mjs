// Keeps N connections busy with turns and reports how long they took. It uses raw sockets, so that
// it disturbs the measurement as little as possible.
//
//   node load.mjs < plan.json > result.json
//
// plan: {port, requests, concurrency, tokens, seconds, turns, stagger, once, times}
//   requests: [{path, headers, body, words}]; "$ID" in a body is a new UUID in each request, and
//   connection i sends requests i, i+N, i+2N...
//   once: each connection sends one request. Otherwise they run for at least `seconds` and `turns`.
//   Turns still running then are completed, and count for everything except the rate.
//   stagger: the seconds over which the connections start.
//   times: the address at which the provider reports when it sent each token; the request's words
//   identify the stream.
// A turn is complete if its status is 200 and its text has the expected length.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

import { lengths } from "./prose.mjs";

const plan = JSON.parse(readFileSync(0));
const requests = plan.requests.map(({ path, headers, body, words }) => {
  const parts = body.split("$ID").map((part) => Buffer.from(part));
  const length = parts.reduce((sum, part) => sum + part.length, 0) + 36 * (parts.length - 1);
  const lines = Object.entries({ ...headers, "Content-Length": length });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const start = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\n${head}\r\n`;
  return { head: Buffer.from(start), parts, words };
});
const ENDS = lengths(plan.tokens); // length of the text after each token
const STUCK_MS = 120_000;

const first = []; // milliseconds to the first token
const whole = []; // milliseconds to the end
const arrivals = []; // {words, came: [time of each token]}
const failures = {};
let received = 0;
let stopping = false;
let open = 0;
const began = performance.now();
let window = null;

function encoded({ head, parts }) {
  const body = parts.flatMap((part, index) => (index ? [Buffer.from(randomUUID()), part] : [part]));
  return Buffer.concat([head, ...body]);
}

/** The text in an event or a whole response, in our format or the provider's. */
function said(json) {
  if (json.text !== undefined) return json.text;
  if (json.response !== undefined) return json.response;
  return json.choices?.[0]?.delta?.content ?? json.choices?.[0]?.message?.content ?? "";
}

/** The body of a response, chunked or with a content length. */
class Body {
  constructor(head) {
    const length = /\r\ncontent-length: *(\d+)/i.exec(head);
    this.left = length ? Number(length[1]) : null;
    this.kept = "";
    this.done = this.left === 0;
  }

  /** What new bytes bring of it. They are ASCII, or cut inside JSON strings at worst. */
  read(data) {
    if (this.left !== null) {
      this.left -= data.length;
      this.done = this.left <= 0;
      return data.latin1Slice();
    }
    this.kept += data.latin1Slice();
    let text = "";
    for (;;) {
      const line = this.kept.indexOf("\r\n");
      if (line < 0) return text;
      const size = parseInt(this.kept, 16);
      if (size === 0) {
        this.done = this.kept.length >= line + 4;
        return text;
      }
      if (this.kept.length < line + 4 + size) return text;
      text += this.kept.slice(line + 2, line + 2 + size);
      this.kept = this.kept.slice(line + 4 + size);
    }
  }
}

class Connection {
  constructor(index) {
    this.index = index;
    this.turn = 0;
    open += 1;
    this.connect();
  }

  connect() {
    this.socket = connect({ port: plan.port, host: "127.0.0.1", noDelay: true });
    this.socket.on("connect", () => this.send());
    this.socket.on("data", (data) => this.receive(data));
    this.socket.on("error", (error) => this.lost(error.code));
    this.socket.on("close", () => this.lost("closed"));
  }

  send() {
    this.request = requests[(this.index + this.turn * plan.concurrency) % requests.length];
    this.turn += 1;
    this.head = null;
    this.kept = Buffer.alloc(0);
    this.came = [];
    this.length = 0;
    this.event = "";
    this.sent = performance.now();
    this.busy = true;
    this.socket.write(encoded(this.request));
  }

  receive(data) {
    received += data.length;
    if (this.head === null) {
      data = Buffer.concat([this.kept, data]);
      const end = data.indexOf("\r\n\r\n");
      if (end < 0) {
        this.kept = data;
        return;
      }
      this.head = data.latin1Slice(0, end);
      this.body = new Body(this.head);
      this.streamed = /\r\ncontent-type: text\/event-stream/i.test(this.head);
      this.text = "";
      data = data.subarray(end + 4);
    }
    this.text += this.body.read(data);
    if (this.streamed) this.events();
    if (this.body.done) this.end();
  }

  // Our last event repeats the whole reply, so only new text counts.
  events() {
    let at;
    while ((at = this.text.indexOf("\n\n")) >= 0) {
      const event = this.text.slice(0, at);
      this.text = this.text.slice(at + 2);
      const [, name] = event.match(/^event: (.*)$/m) ?? [];
      if (name && name !== "delta") continue;
      const [, data] = event.match(/^data: (\{.*)$/m) ?? [];
      if (data) this.add(said(JSON.parse(data)).length);
    }
  }

  add(length) {
    this.length += length;
    const [seconds, nanoseconds] = process.hrtime();
    const now = seconds * 1e3 + nanoseconds / 1e6;
    if (length && !this.came.length) this.first = performance.now() - this.sent;
    while (this.came.length < ENDS.length && ENDS[this.came.length] <= this.length) {
      this.came.push(now);
    }
  }

  end() {
    this.busy = false;
    if (!this.head.startsWith("HTTP/1.1 200")) {
      this.fail(this.head.split("\r\n")[0]);
    } else {
      if (!this.streamed) this.add(said(JSON.parse(this.text)).length);
      this.succeed();
    }
    const elapsed = performance.now() - began;
    if (!stopping && elapsed >= plan.seconds * 1000 && whole.length >= plan.turns) {
      stopping = true;
      window = { turns: whole.length, seconds: elapsed / 1000 };
    }
    if (plan.once || stopping) return this.close();
    if (/\r\nconnection: *close/i.test(this.head)) return this.reconnect();
    this.send();
  }

  succeed() {
    if (this.length !== ENDS.at(-1)) return this.fail(`${this.length} characters`);
    first.push(this.first);
    whole.push(performance.now() - this.sent);
    if (plan.times) arrivals.push({ words: this.request.words, came: this.came });
  }

  lost(reason) {
    if (!this.busy) return;
    this.busy = false;
    this.fail(reason);
    if (plan.once || stopping) return this.close();
    setTimeout(() => this.reconnect(), 50);
  }

  reconnect() {
    this.socket.removeAllListeners().on("error", () => {}).destroy();
    this.connect();
  }

  fail(reason) {
    failures[reason] = (failures[reason] ?? 0) + 1;
    if (failures[reason] > 1000) finish();
  }

  close() {
    this.socket.destroy();
    open -= 1;
    if (open === 0) finish();
  }
}

function spread(values) {
  values.sort((a, b) => a - b);
  const at = (share) => values[Math.min(values.length - 1, Math.floor(values.length * share))];
  return { p50: at(0.5) ?? null, p99: at(0.99) ?? null, max: at(1) ?? null };
}

async function delays() {
  if (!plan.times) return [];
  const sent = await (await fetch(plan.times)).json();
  return arrivals.flatMap(({ words, came }) => came.map((when, n) => when - sent[words][n]));
}

async function finish() {
  const seconds = (performance.now() - began) / 1000;
  const result = {
    turns: whole.length, failures, seconds, received,
    window: window ?? { turns: whole.length, seconds },
    first: spread(first), whole: spread(whole), delay: spread(await delays()),
  };
  process.stdout.write(JSON.stringify(result), () => process.exit());
}

setTimeout(() => {
  failures["no end"] = open;
  finish();
}, plan.seconds * 1000 + plan.stagger * 1000 + STUCK_MS).unref();

for (let index = 0; index < plan.concurrency; index++) {
  setTimeout(() => new Connection(index), (plan.stagger * 1000 * index) / plan.concurrency);
}
