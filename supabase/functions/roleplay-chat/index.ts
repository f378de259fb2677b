// The address that the web client knows: sends each call to the new function or to the old one.
// route.ts decides; this file does the input and output. docs/adopting-proxy.md says how to switch.

import * as route from "./route.ts";

declare const EdgeRuntime: { waitUntil(promise: Promise<unknown>): void };

type Texts = Record<string, string>;

interface Call {
  person: string;
  conversation: string | null;
  body: route.Body;
  headers: Texts;
}

/** Why there is no answer from either function; the message is a sentence for the person. */
class Rejected extends Error {
  constructor(readonly status: number, readonly code: string, message: string) {
    super(message);
  }
}

const SUPABASE_URL = Deno.env.get("SUPABASE_URL")!;
const SECRET_KEY = Deno.env.get("SUPABASE_SERVICE_ROLE_KEY")!;
const PUBLIC_KEY = Deno.env.get("SUPABASE_ANON_KEY")!;
const NEW_URL = Deno.env.get("ROLEPLAY_CHAT_URL") ?? "";
const OLD_URL = `${SUPABASE_URL}/functions/v1/roleplay-chat-legacy`;
const OLD_SECRET = Deno.env.get("ROLEPLAY_LEGACY_SECRET") ?? "";
const TRAFFIC_MS = Number(Deno.env.get("ROLEPLAY_TRAFFIC_SECONDS") ?? 10) * 1_000;
const ANSWER_MS = Number(Deno.env.get("ROLEPLAY_ANSWER_SECONDS") ?? 140) * 1_000;
const DATABASE_MS = 10_000;
const MAX_BODY_BYTES = 4 * 2 ** 20;
const PASSED_ON = ["authorization", "accept", "x-client-info", "traceparent"];
const PASSED_BACK = [
  "content-type",
  "cache-control",
  "retry-after",
  "server-timing",
  "x-accel-buffering",
  "x-request-id",
];
const CORS = {
  "Access-Control-Allow-Origin": "*",
  "Access-Control-Expose-Headers": "Retry-After, Server-Timing, X-Request-Id",
};

Deno.serve(async (request) => {
  if (request.method === "OPTIONS") return preflight(request);
  const began = performance.now();
  const line: Record<string, unknown> = { event: "call" };
  const response = await read(request).then((call) => answer(call, line)).catch((error) => {
    Object.assign(line, whyOf(error));
    return refusal(error);
  });
  const ms = Math.round(performance.now() - began);
  console.log(JSON.stringify({ ...line, status: response.status, ms }));
  return response;
});

async function answer(call: Call, line: Record<string, unknown>): Promise<Response> {
  const kind = route.classify(call.body);
  const hash = await route.hashOf(call.person);
  const isMoved = route.isMoved(await currentTraffic(), call.person, hash);
  Object.assign(line, { person: hash.slice(0, 12), kind, side: "old" });
  if (isMoved && kind === "image") {
    return await askForImage(call, (newest) => route.imageBody(call.body, newest));
  }
  if (isMoved && kind !== "playground") {
    line.side = "new";
    const response = await (kind === "mixed" ? replyThenImage(call) : callNew(call));
    line.request_id = response?.headers.get("x-request-id");
    if (response) return passBack(response, response.body);
    line.side = "old, new unreachable";
  }
  const response = await callOld(call, call.body);
  return passBack(response, response.body);
}

/** Null where nothing reached the new function. */
async function callNew(call: Call): Promise<Response | null> {
  const response = await post(NEW_URL, call.headers, call.body).catch((error) => {
    if (error.code === "unreachable") return null;
    throw error;
  });
  const requestId = response?.headers.get("x-request-id");
  if (!response || !route.isUnreached(response.status, requestId)) return response;
  await response.body?.cancel();
  return null;
}

async function replyThenImage(call: Call): Promise<Response | null> {
  const headers = { ...call.headers, accept: "application/json" };
  const response = await callNew({ ...call, headers });
  if (!response) return null;
  const text = await textOfAnswer(response);
  const body = parseObject(text);
  if (!route.isWhole(response.status, body)) return new Response(text, response);
  EdgeRuntime.waitUntil(imageAfterwards(call, body.response));
  const image = { scene_generated: false, scene_generating_async: true };
  return new Response(JSON.stringify({ ...body, ...image }), response);
}

async function imageAfterwards(call: Call, reply: string): Promise<void> {
  const asked = askForImage(call, () => route.imageOfReply(call.body, reply));
  const outcome = await asked.then(({ status }) => ({ status }), whyOf);
  console.log(JSON.stringify({ event: "image of a reply", side: "old", ...outcome }));
}

/** The old function believes what a body says, so the conversation has to be the person's. */
async function callOld(call: Call, body: route.Body): Promise<Response> {
  const own = { id: `eq.${call.conversation}`, user_id: `eq.${call.person}`, select: "id" };
  if (call.conversation && !(await rowsOf(call, "conversations", own)).length) {
    throw new Rejected(404, "conversation_not_found", "This conversation does not exist.");
  }
  return await post(OLD_URL, { ...call.headers, "x-legacy-secret": OLD_SECRET }, body);
}

/** Takes away the reply that the old function may have stored to make an image of it. */
async function askForImage(
  call: Call,
  bodyFor: (newestReply: string | null) => route.Body,
): Promise<Response> {
  const replies = { conversation_id: `eq.${call.conversation}`, sender: "eq.assistant" };
  const newest = { ...replies, select: "content,created_at", order: "created_at.desc", limit: "1" };
  const [reply] = call.conversation ? await rowsOf(call, "messages", newest) : [];
  const response = await callOld(call, bodyFor(reply?.content ?? null));
  const text = await textOfAnswer(response);
  const body = parseObject(text);
  const stored = route.uuid(body?.message_id);
  if (!stored || !call.conversation) return passBack(response, text);
  // Later than all replies that were there before this call.
  const during: Texts = reply ? { created_at: `gt.${reply.created_at}` } : {};
  await asService("DELETE", pathOf("messages", { id: `eq.${stored}`, ...replies, ...during }))
    .catch((error) =>
      console.error(JSON.stringify({ event: "reply not deleted", ...whyOf(error) }))
    );
  return passBack(response, JSON.stringify({ ...body, message_id: null }));
}

let known: route.Traffic | null = null;
let readAt = -Infinity;
let reading: Promise<void> | null = null;

/** What was last known where the row cannot be read; null where nothing is. */
async function currentTraffic(): Promise<route.Traffic | null> {
  if (NEW_URL && performance.now() - readAt >= TRAFFIC_MS) {
    readAt = performance.now();
    reading = asService("GET", "rpc/read_traffic").then((response) => response.json()).then(
      (row) => void (known = route.parseTraffic(row)),
      (error) => console.error(JSON.stringify({ event: "traffic row not read", ...whyOf(error) })),
    );
  }
  await reading;
  return known;
}

// deno-lint-ignore no-explicit-any
async function rowsOf(call: Call, table: string, query: Texts): Promise<any[]> {
  const headers = { apikey: PUBLIC_KEY, authorization: call.headers.authorization };
  return await (await database("GET", pathOf(table, query), headers)).json();
}

async function asService(method: string, path: string): Promise<Response> {
  return await database(method, path, {
    apikey: SECRET_KEY,
    authorization: `Bearer ${SECRET_KEY}`,
  });
}

function pathOf(table: string, query: Texts): string {
  return `${table}?${new URLSearchParams(query)}`;
}

async function database(method: string, path: string, headers: Texts): Promise<Response> {
  const signal = AbortSignal.timeout(DATABASE_MS);
  const url = `${SUPABASE_URL}/rest/v1/${path}`;
  const response = await fetch(url, { method, headers, signal }).catch(() => null);
  if (response?.ok) return response;
  await response?.body?.cancel();
  if (response?.status === 401) throw new Rejected(401, "not_signed_in", "Please sign in again.");
  const sentence = "The conversation store cannot be reached right now. Please try again.";
  throw new Rejected(503, "database_unavailable", sentence);
}

async function post(url: string, headers: Texts, body: route.Body): Promise<Response> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), ANSWER_MS);
  const init = { method: "POST", body: JSON.stringify(body), signal: late.signal };
  const json = { ...headers, "content-type": "application/json" };
  try {
    return await fetch(url, { ...init, headers: json, redirect: "manual" });
  } catch (error) {
    if (late.signal.aborted) throw noAnswer(504, "no_answer_in_time");
    throw noAnswer(502, route.isRefused(error) ? "unreachable" : "no_answer");
  } finally {
    clearTimeout(timer);
  }
}

async function textOfAnswer(response: Response): Promise<string> {
  return await response.text().catch(() => Promise.reject(noAnswer(502, "no_answer")));
}

function noAnswer(status: number, code: string): Rejected {
  const sentence = "No answer came. If a reply was saved, you see it when you reload the page.";
  return new Rejected(status, code, sentence);
}

async function read(request: Request): Promise<Call> {
  if (request.method !== "POST") {
    throw new Rejected(405, "method_not_allowed", "Send it with POST.");
  }
  const person = route.personOf(request.headers.get("authorization"));
  if (!person) throw new Rejected(401, "not_signed_in", "Please sign in.");
  const given = parseObject(await textOf(request));
  if (!given) throw new Rejected(400, "malformed_json", "The body must be a JSON object.");
  const conversation = route.uuid(given.conversation_id);
  if (given.conversation_id && !conversation) {
    throw new Rejected(400, "invalid_request", "`conversation_id` must be a UUID.");
  }
  const body = { ...given, user_id: person, conversation_id: conversation };
  const headers = [...request.headers].filter(([name]) => PASSED_ON.includes(name));
  return { person, conversation, body, headers: Object.fromEntries(headers) };
}

async function textOf(request: Request): Promise<string> {
  const decoder = new TextDecoder();
  let text = "", size = 0;
  for await (const chunk of request.body ?? []) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new Rejected(413, "body_too_large", "The body is too large.");
    text += decoder.decode(chunk, { stream: true });
  }
  return text + decoder.decode();
}

/** Null for all that is no JSON object, and for what is too deep to be written again. */
function parseObject(text: string): route.Body | null {
  try {
    const value = JSON.parse(text);
    JSON.stringify(value);
    return typeof value === "object" && !Array.isArray(value) ? value : null;
  } catch {
    return null;
  }
}

function passBack({ status, headers }: Response, body: BodyInit | null): Response {
  const kept = [...headers].filter(([name]) => PASSED_BACK.includes(name));
  return new Response(body, { status, headers: { ...Object.fromEntries(kept), ...CORS } });
}

/** For the log; an error's message may hold words of a person. */
function whyOf({ code, name }: Error & { code?: string }): { code: string } {
  return { code: code ?? name };
}

function refusal(error: Error): Response {
  const sentence = "Something went wrong on our side. Please try again.";
  const { status, code, message } = error instanceof Rejected
    ? error
    : new Rejected(500, "internal_error", sentence);
  return Response.json({ success: false, error: message, code }, { status, headers: CORS });
}

function preflight(request: Request): Response {
  const asked = request.headers.get("access-control-request-headers");
  const headers = {
    ...CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": asked ?? "authorization, x-client-info, apikey, content-type",
    "Access-Control-Max-Age": "86400",
  };
  return new Response(null, { status: 204, headers });
}
