// A model provider that costs next to nothing: POST /<tokens>/<ms per token>/.../chat/completions.
//
// GET /times: when each token of the paced streams was sent, in milliseconds of the machine's
// monotonic clock, by the last message of the request; asked, it forgets them.
//
//   node upstream.mjs <port>

import { createServer } from "node:http";

import { token } from "./prose.mjs";

const HEAD = { id: "gen-bench", provider: "Bench", model: "bench", created: 1767225600 };
let times = {};

const usage = (tokens) => ({
  prompt_tokens: 1000, completion_tokens: tokens, total_tokens: 1000 + tokens, cost: 0,
});

function chunk(delta, finish = null, more = {}) {
  const choice = { index: 0, delta, finish_reason: finish, native_finish_reason: finish };
  const body = { ...HEAD, object: "chat.completion.chunk", choices: [choice], ...more };
  return `data: ${JSON.stringify(body)}\n\n`;
}

function whole(tokens) {
  const content = Array.from({ length: tokens }, (_, number) => token(number)).join("");
  const message = { role: "assistant", content, refusal: null };
  const choice = { index: 0, message, finish_reason: "stop", native_finish_reason: "stop" };
  return JSON.stringify({
    ...HEAD, object: "chat.completion", choices: [choice], usage: usage(tokens),
  });
}

function stream(response, tokens, gap, sent) {
  response.socket.setNoDelay(true);
  response.writeHead(200, { "Content-Type": "text/event-stream", "Cache-Control": "no-cache" });
  let number = 0;
  const next = () => {
    const [seconds, nanoseconds] = process.hrtime();
    sent.push(seconds * 1e3 + nanoseconds / 1e6);
    response.write(chunk({ role: "assistant", content: token(number) }));
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

createServer({ keepAliveTimeout: 600_000 }, (request, response) => {
  const parts = [];
  request.on("data", (part) => parts.push(part));
  request.on("end", () => {
    if (request.url === "/times") {
      response.end(JSON.stringify(times));
      times = {};
      return;
    }
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
