// A model provider with almost no cost: POST /<tokens>/<ms per token>/.../chat/completions.
//
// GET /times: when each token of the paced streams was sent, in milliseconds of the machine's
// monotonic clock, by the last message of the request. Reading them deletes them.
//
// POST /<name of a HOSTILE response>/...: responses that no provider should send.
//
//   node upstream.mjs <port>

import { createServer } from "node:http";
import { gzipSync } from "node:zlib";

import { token } from "./prose.mjs";

const HEAD = { id: "gen-bench", provider: "Bench", model: "bench", created: 1767225600 };
let times = {};
let replies = 0;

/** Calls cost something, because what they cost is added up in rows that all turns share. */
const usage = (tokens) => ({
  prompt_tokens: 1000, completion_tokens: tokens, total_tokens: 1000 + tokens, cost: 0.0001,
});

function chunk(delta, finish = null, more = {}) {
  const choice = { index: 0, delta, finish_reason: finish, native_finish_reason: finish };
  const body = { ...HEAD, object: "chat.completion.chunk", choices: [choice], ...more };
  return `data: ${JSON.stringify(body)}\n\n`;
}

function whole(tokens) {
  const reply = replies++;
  const content = Array.from({ length: tokens }, (_, number) => token(number, reply)).join("");
  const message = { role: "assistant", content, refusal: null };
  const choice = { index: 0, message, finish_reason: "stop", native_finish_reason: "stop" };
  return JSON.stringify({
    ...HEAD, object: "chat.completion", choices: [choice], usage: usage(tokens),
  });
}

function stream(response, tokens, gap, sent) {
  response.socket.setNoDelay(true);
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  const reply = replies++;
  let number = 0;
  const next = () => {
    const [seconds, nanoseconds] = process.hrtime();
    sent.push(seconds * 1e3 + nanoseconds / 1e6);
    response.write(chunk({ role: "assistant", content: token(number, reply) }));
    number += 1;
  };
  const end = () => {
    response.write(chunk({ content: "" }, "stop"));
    response.write(chunk({ content: "" }, "stop", { usage: usage(tokens) }));
    response.end("data: [DONE]\n\n");
  };
  next();
  if (gap === 0) {
    while (number < tokens) next();
    end();
    return;
  }
  const timer = setInterval(() => {
    if (number < tokens) return next();
    clearInterval(timer);
    end();
  }, gap);
  response.on("close", () => clearInterval(timer));
}

let words = 1e6;
/** A word in disguise that was never sent before. */
const newWord = () => `5@${(words++).toString(36)}|3!* `;

const EVENTS = { "Content-Type": "text/event-stream" };

const HOSTILE = {
  /** 40,000 pairs of tags in one event. */
  tags(response) {
    response.writeHead(200, EVENTS);
    response.write(chunk({ content: "<think></think>".repeat(40_000) }));
    response.end(chunk({ content: "Yes." }, "stop"));
  },
  /** 64 MB of a reply that does not end, compressed to a hundredth or less. */
  gzip(response) {
    const packed = gzipSync(Buffer.alloc(64 << 20, chunk({ content: "word " })));
    response.writeHead(200, { ...EVENTS, "Content-Encoding": "gzip" });
    response.end(packed);
  },
  /** A line that does not end. */
  line(response) {
    response.writeHead(200, EVENTS);
    const more = Buffer.alloc(1 << 20, "x");
    const go = () => {
      while (!response.destroyed && response.write(more));
    };
    response.on("drain", go);
    go();
  },
  /** The longest reply that is taken, in words that each have to be looked at, at once. */
  words(response) {
    let text = "";
    for (let n = 0; text.length < 59_000; n += 1) text += `5@${n.toString(36)}|3!* `;
    response.writeHead(200, EVENTS);
    response.end(chunk({ content: text }, "stop"));
  },
  /** The same in words that nobody has looked at yet. */
  newWords(response) {
    const text = Array.from({ length: 5_000 }, newWord).join("");
    response.writeHead(200, EVENTS);
    response.end(chunk({ content: text }, "stop"));
  },
  /** As many in as many events, at once. */
  newEvents(response) {
    const events = Array.from({ length: 4_000 }, () => chunk({ content: newWord() }));
    response.writeHead(200, EVENTS);
    response.end(events.join("") + chunk({ content: "Yes." }, "stop"));
  },
  /** 24,000 documents in one event. */
  documents(response) {
    response.writeHead(200, EVENTS);
    response.write(`data: ${'{"usage":{"cost":1}}'.repeat(24_000)}\n\n`);
    response.end(chunk({ content: "Yes." }, "stop"));
  },
  /** An error in a stream with as many values as are parsed. */
  values(response) {
    const listed = Array(9_000).fill('{"b":"c"}').join();
    response.writeHead(200, EVENTS);
    response.end(`data: {"error":{"s":"\\ud800","message":{"x":[${listed}]}}}\n\n`);
  },
  /** The body of an error with long numbers. */
  digits(response) {
    const listed = Array(120).fill("1".repeat(4_000)).join();
    response.writeHead(400, { "Content-Type": "application/json" });
    response.end(`{"a":[${listed}],"b":"\\ud800"}`);
  },
  /** 29 MB of reasoning, and then a reply. */
  reasoning(response) {
    const thought = chunk({ reasoning: "a b c ".repeat(80_000) });
    response.writeHead(200, EVENTS);
    response.end(thought.repeat(60) + chunk({ content: "Yes." }, "stop"));
  },
};

createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (request.url === "/times") {
      response.end(JSON.stringify(times));
      times = {};
      return;
    }
    const hostile = HOSTILE[request.url.split("/")[1]];
    if (hostile) return hostile(response);
    const [, tokens, gap] = request.url.split("/").map(Number);
    if (request.method !== "POST" || !(tokens > 0)) return response.writeHead(404).end();
    const body = JSON.parse(Buffer.concat(parts));
    if (body.stream) {
      const sent = gap ? (times[body.messages.at(-1).content] = []) : [];
      return stream(response, tokens, gap, sent);
    }
    response.writeHead(200, { "Content-Type": "application/json" }).end(whole(tokens));
  });
}).listen(Number(process.argv[2]), "127.0.0.1", 1024);
