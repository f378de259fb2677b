// Keeps N connections busy with turns and says what they took. Raw sockets: it has to stay out
// of the way of what it measures.
//
//   node load.mjs < plan.json > result.json
//
// plan: {port, requests: [{path, headers, body}], concurrency, tokens, seconds, turns, stagger, once}
//   "$ID" in a body is a new UUID in each request. Connection i sends requests i, i+N, i+2N...
//   once: each connection sends one request; else they go on for at least so many seconds and
//   turns. Turns that are then under way end, and count for everything but the rate.
//   stagger: the connections start spread over so many seconds.
// A turn is complete when its status is 200 and it brought as many tokens as it should, in order.

import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { connect } from "node:net";

const plan = JSON.parse(readFileSync(0));
const requests = plan.requests.map(({ path, headers, body }) => {
  const parts = body.split("$ID").map((part) => Buffer.from(part));
  const length = parts.reduce((sum, part) => sum + part.length, 0) + 36 * (parts.length - 1);
  const lines = Object.entries({ ...headers, "Content-Length": length });
  const head = lines.map(([name, value]) => `${name}: ${value}\r\n`).join("");
  const start = `POST ${path} HTTP/1.1\r\nHost: 127.0.0.1:${plan.port}\r\n${head}\r\n`;
  return { head: Buffer.from(start), parts };
});
const AT = "@".charCodeAt(0);
const CLOSING = Buffer.from("\r\n0\r\n\r\n");
const MARK = 4; // digits of a token's number and the dot
const STAMP = 14;
const STUCK_MS = 120_000;

const first = []; // milliseconds to the first token
const whole = []; // milliseconds to the end
const delays = []; // milliseconds that each token was on its way
const failures = {};
let tokens = 0;
let received = 0;
let stopping = false;
let open = 0;
const began = performance.now();
let window = null;

function request({ head, parts }) {
  const body = parts.flatMap((part, index) => (index ? [Buffer.from(randomUUID()), part] : [part]));
  return Buffer.concat([head, ...body]);
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
    const next = requests[(this.index + this.turn * plan.concurrency) % requests.length];
    this.turn += 1;
    this.head = null;
    this.kept = Buffer.alloc(0);
    this.next = 0;
    this.left = null;
    this.tail = Buffer.alloc(0);
    this.sent = performance.now();
    this.busy = true;
    this.socket.write(request(next));
  }

  receive(data) {
    received += data.length;
    const now = performance.now();
    if (this.head === null) {
      data = Buffer.concat([this.kept, data]);
      const end = data.indexOf("\r\n\r\n");
      if (end < 0) {
        this.kept = data;
        return;
      }
      this.head = data.subarray(0, end).toString("latin1");
      this.kept = Buffer.alloc(0);
      const length = /\r\ncontent-length: *(\d+)/i.exec(this.head);
      this.left = length ? Number(length[1]) : null;
      data = data.subarray(end + 4);
      this.tail = Buffer.from("\r\n");
    }
    this.count(data, now);
    if (this.left !== null) {
      this.left -= data.length;
      if (this.left <= 0) this.end(now);
    } else {
      this.tail = Buffer.concat([this.tail, data.subarray(-CLOSING.length)]).subarray(-CLOSING.length);
      if (this.tail.equals(CLOSING)) this.end(now);
    }
  }

  // Tokens may be cut by the end of a packet: what may be the beginning of one is kept.
  count(data, now) {
    const text = this.kept.length ? Buffer.concat([this.kept, data]) : data;
    let at = text.indexOf(AT);
    const clock = process.hrtime();
    const microseconds = clock[0] * 1e6 + clock[1] / 1e3;
    while (at >= 0 && at + MARK + STAMP < text.length) {
      if (Number(text.latin1Slice(at + 1, at + MARK)) === this.next) {
        const sent = Number(text.latin1Slice(at + 1 + MARK, at + 1 + MARK + STAMP));
        if (this.next === 0) this.first = now - this.sent;
        delays.push((microseconds - sent) / 1e3);
        this.next += 1;
      }
      at = text.indexOf(AT, at + 1);
    }
    this.kept = at >= 0 ? text.subarray(at) : Buffer.alloc(0);
  }

  end(now) {
    this.busy = false;
    if (!this.head.startsWith("HTTP/1.1 200")) {
      this.fail(this.head.split("\r\n")[0]);
    } else if (this.next !== plan.tokens) {
      this.fail(`${this.next} tokens`);
    } else {
      first.push(this.first);
      whole.push(now - this.sent);
      tokens += this.next;
    }
    const elapsed = now - began;
    if (!stopping && elapsed >= plan.seconds * 1000 && whole.length >= plan.turns) {
      stopping = true;
      window = { turns: whole.length, seconds: elapsed / 1000 };
    }
    if (plan.once || stopping) return this.close();
    if (/\r\nconnection: *close/i.test(this.head)) {
      this.socket.removeAllListeners().on("error", () => {}).destroy();
      return this.connect();
    }
    this.send();
  }

  lost(reason) {
    if (!this.busy) return;
    this.busy = false;
    this.fail(reason);
    if (plan.once || stopping) return this.close();
    this.socket.removeAllListeners().on("error", () => {}).destroy();
    setTimeout(() => this.connect(), 50);
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
  const at = (share) => values[Math.min(values.length - 1, Math.floor(values.length * share))] ?? null;
  return { p50: at(0.5), p99: at(0.99), max: at(1) };
}

function finish() {
  const seconds = (performance.now() - began) / 1000;
  const result = {
    turns: whole.length, tokens, failures, seconds, received,
    window: window ?? { turns: whole.length, seconds },
    first: spread(first), whole: spread(whole), delay: spread(delays),
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
