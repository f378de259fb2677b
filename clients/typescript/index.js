// A client of roleplay_chat for browsers and Node.js 20 and newer. It needs nothing but fetch.
//
// This file is plain JavaScript and is used as it is. Its types are in JSDoc comments; index.d.ts and
// api.d.ts are generated: see README.md.

/** @typedef {import("./api.js").components["schemas"]} Schemas */
/** @typedef {Schemas["ChatRequest"]} TurnRequest */
/** @typedef {Schemas["Answer"]} Answer */
/** @typedef {import("./actions.js").Actions} Actions */

/**
 * @typedef {{event: "start", id: string, data: Schemas["StartEvent"]}} StartEvent
 * @typedef {{event: "delta", id: string, data: Schemas["DeltaEvent"]}} DeltaEvent
 * @typedef {{event: "done", id: string, data: Answer}} DoneEvent
 * @typedef {{event: "error", id: string, data: Schemas["ErrorEvent"]}} ErrorEvent
 * @typedef {StartEvent | DeltaEvent | DoneEvent | ErrorEvent} TurnEvent
 */

/**
 * @typedef {object} Options
 * @property {string} url The function's address, such as https://functions.example/roleplay_chat.
 * @property {() => string | null | undefined | Promise<string | null | undefined>} token The person's access
 *   token, asked for before each request.
 * @property {typeof globalThis.fetch} [fetch] In place of the global one.
 * @property {number} [silenceMs] A stream in which nothing came for so long counts as lost; 45,000 if not
 *   given. The server sends a comment every ten seconds while there is nothing else.
 */

/** An error of the service: show `message`, which is written for people, and decide by `code`. */
export class ChatError extends Error {
  /**
   * @param {string} message
   * @param {string} code
   * @param {number} [status] The HTTP status; 0 for an error within a stream, or without an answer.
   * @param {number} [seconds] How long to wait before the request is repeated; 0 if that is not known.
   * @param {string} [requestId] The request's id in the service's log.
   */
  constructor(message, code, status = 0, seconds = 0, requestId = "") {
    super(message);
    this.name = "ChatError";
    this.code = code;
    this.status = status;
    this.seconds = seconds;
    this.requestId = requestId;
  }
}

/** The connection was lost, or nothing came for too long. The same request can be sent again. */
export class ConnectionLost extends ChatError {
  constructor() {
    super("The service cannot be reached. Check your connection, then try again.", "dropped");
    this.name = "ConnectionLost";
  }
}

/** One person's way to roleplay_chat. */
export class ChatClient {
  /** @param {Options} options */
  constructor({ url, token, fetch = globalThis.fetch, silenceMs = 45_000 }) {
    this.url = url;
    this.token = token;
    this.fetch = fetch;
    this.silenceMs = silenceMs;
  }

  /**
   * The answer to an action that is not a turn. Throws `ChatError`.
   *
   * @template {keyof Actions} Name
   * @param {{action: Name} & Actions[Name]["request"]} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<Actions[Name]["answer"]>}
   */
  async act(body, signal) {
    return (await this.#send({ method: "POST", body: JSON.stringify(body), signal })).json();
  }

  /**
   * The answer to a turn, once it is whole. Throws `ChatError`.
   *
   * @param {TurnRequest} body
   * @param {AbortSignal} [signal]
   * @returns {Promise<Answer>}
   */
  async reply(body, signal) {
    return (await this.#send({ method: "POST", body: JSON.stringify({ ...body, stream: false }), signal })).json();
  }

  /**
   * The events of a turn; the last is `done` or `error`. Throws `ChatError` for a turn that does not
   * begin, and `ConnectionLost`.
   *
   * @param {TurnRequest} body
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<TurnEvent, void, undefined>}
   */
  turn(body, signal) {
    return this.#events({ method: "POST", body: JSON.stringify({ ...body, stream: true }) }, signal);
  }

  /**
   * The events of a turn after the one with this id: the rest of a reply that is being written, or the
   * saved reply from its start. `${turnId}/0.0` is the id before the first event. Throws as `turn`.
   *
   * @param {string} eventId
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<TurnEvent, void, undefined>}
   */
  resume(eventId, signal) {
    return this.#events({ method: "GET", headers: { "Last-Event-ID": eventId } }, signal);
  }

  /**
   * The events of a turn, also where the connection is lost: then it goes on with what is missing, at most
   * `tries` times without anything new. The request needs a `client_message_id`, with which a turn that
   * was not heard of is asked for again. After another `start`, the text begins anew.
   *
   * @param {TurnRequest & {client_message_id: string}} body
   * @param {AbortSignal} [signal]
   * @param {number} [tries]
   * @returns {AsyncGenerator<TurnEvent, void, undefined>}
   */
  async *converse(body, signal, tries = 5) {
    let last = "";
    for (let failed = 0; ; failed += 1) {
      try {
        for await (const event of last ? this.resume(last, signal) : this.turn(body, signal)) {
          last = event.id || last;
          failed = 0;
          yield event;
          if (event.event === "done" || event.event === "error") return;
        }
      } catch (error) {
        if (signal?.aborted || failed >= tries || !(error instanceof ChatError && mayGoOn(error))) throw error;
        await pause(Math.max(1000 * 2 ** failed, error.seconds * 1000), signal);
      }
    }
  }

  /**
   * @param {RequestInit} request
   * @param {AbortSignal} [signal]
   * @returns {AsyncGenerator<TurnEvent, void, undefined>}
   */
  async *#events(request, signal) {
    const quiet = new AbortController();
    const hear = () => setTimeout(() => quiet.abort(), this.silenceMs);
    let timer = hear();
    try {
      const response = await this.#send({ ...request, signal: either(signal, quiet.signal) });
      const reader = /** @type {ReadableStream<Uint8Array>} */ (response.body).getReader();
      const decoder = new TextDecoder();
      const parser = new EventParser();
      for (;;) {
        const { done, value } = await reader.read();
        if (done) throw new ConnectionLost();
        clearTimeout(timer);
        timer = hear();
        for (const { name, data, id } of parser.parse(decoder.decode(value, { stream: true }))) {
          yield /** @type {TurnEvent} */ ({ event: name, id, data: JSON.parse(data) });
          if (name === "done" || name === "error") return;
        }
      }
    } catch (error) {
      if (signal?.aborted || error instanceof ChatError) throw error;
      throw new ConnectionLost();
    } finally {
      clearTimeout(timer);
      quiet.abort();
    }
  }

  /**
   * @param {RequestInit} request
   * @returns {Promise<Response>}
   */
  async #send({ headers, ...request }) {
    const token = await this.token();
    if (!token) throw new ChatError("Please sign in.", "unauthorized", 401);
    let response;
    try {
      const { fetch } = this; // Browsers' own must not be called as a method.
      response = await fetch(this.url, {
        ...request,
        headers: { ...headers, Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      });
    } catch (error) {
      if (request.signal?.aborted) throw error;
      throw new ConnectionLost();
    }
    if (response.ok) return response;
    const told = await response.json().catch(() => ({}));
    throw new ChatError(
      told.error ?? `The service answered ${response.status}. Try again in a moment.`,
      told.code ?? "",
      response.status,
      Number(response.headers.get("Retry-After")) || 0,
      told.request_id,
    );
  }
}

/** Reads server-sent events from text that comes in pieces. */
export class EventParser {
  /** @type {string[]} */
  #unfinished = [];
  #name = "";
  #id = "";
  /** @type {string[]} */
  #data = [];

  /**
   * The events that are whole after this piece.
   *
   * @param {string} piece
   * @returns {Generator<{name: string, data: string, id: string}>}
   */
  *parse(piece) {
    if (!/[\r\n]/.test(piece) && !this.#unfinished.at(-1)?.endsWith("\r")) {
      this.#unfinished.push(piece); // Joined once, however many pieces a line comes in.
      return;
    }
    const text = this.#unfinished.join("") + piece;
    // "\r" at the end may be the first half of "\r\n".
    const end = text.endsWith("\r") ? text.length - 1 : text.length;
    const lines = text.slice(0, end).split(/\r\n|\n|\r/);
    this.#unfinished = [lines.pop() + text.slice(end)];
    for (const line of lines) {
      if (line) this.#take(line);
      else if (this.#data.length) yield this.#event();
      else this.#name = "";
    }
  }

  #event() {
    const event = { name: this.#name || "message", data: this.#data.join("\n"), id: this.#id };
    this.#name = "";
    this.#data = [];
    return event;
  }

  /** @param {string} line */
  #take(line) {
    const [, field, value] = /** @type {RegExpMatchArray} */ (line.match(/^([^:]*)(?:: ?(.*))?$/s));
    if (field === "data") this.#data.push(value ?? "");
    if (field === "event") this.#name = value ?? "";
    if (field === "id" && !value?.includes("\0")) this.#id = value ?? "";
  }
}

/**
 * Whether the same request can be sent again now. A connection that was cut may have left the turn running.
 *
 * @param {ChatError} error
 */
const mayGoOn = (error) => error instanceof ConnectionLost || error.code === "turn_in_progress";

/**
 * @param {AbortSignal | undefined} one
 * @param {AbortSignal} other
 */
const either = (one, other) => (one ? AbortSignal.any([one, other]) : other);

/**
 * @param {number} ms
 * @param {AbortSignal} [signal]
 * @returns {Promise<void>}
 */
const pause = (ms, signal) =>
  new Promise((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason), { once: true });
    setTimeout(resolve, ms);
  });
