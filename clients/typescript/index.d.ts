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
    constructor(message: string, code: string, status?: number, seconds?: number, requestId?: string);
    code: string;
    status: number;
    seconds: number;
    requestId: string;
}
/** The connection was lost, or nothing came for too long. The same request can be sent again. */
export class ConnectionLost extends ChatError {
    constructor();
}
/** One person's way to roleplay_chat. */
export class ChatClient {
    /** @param {Options} options */
    constructor({ url, token, fetch, silenceMs }: Options);
    url: string;
    token: () => string | null | undefined | Promise<string | null | undefined>;
    fetch: typeof fetch;
    silenceMs: number;
    /**
     * The answer to an action that is not a turn. Throws `ChatError`.
     *
     * @template {keyof Actions} Name
     * @param {{action: Name} & Actions[Name]["request"]} body
     * @param {AbortSignal} [signal]
     * @returns {Promise<Actions[Name]["answer"]>}
     */
    act<Name extends keyof Actions>(body: {
        action: Name;
    } & Actions[Name]["request"], signal?: AbortSignal): Promise<Actions[Name]["answer"]>;
    /**
     * The answer to a turn, once it is whole. Throws `ChatError`.
     *
     * @param {TurnRequest} body
     * @param {AbortSignal} [signal]
     * @returns {Promise<Answer>}
     */
    reply(body: TurnRequest, signal?: AbortSignal): Promise<Answer>;
    /**
     * The events of a turn; the last is `done` or `error`. Throws `ChatError` for a turn that does not
     * begin, and `ConnectionLost`.
     *
     * @param {TurnRequest} body
     * @param {AbortSignal} [signal]
     * @returns {AsyncGenerator<TurnEvent, void, undefined>}
     */
    turn(body: TurnRequest, signal?: AbortSignal): AsyncGenerator<TurnEvent, void, undefined>;
    /**
     * The events of a turn after the one with this id: the rest of a reply that is being written, or the
     * saved reply from its start. `${turnId}/0.0` is the id before the first event. Throws as `turn`.
     *
     * @param {string} eventId
     * @param {AbortSignal} [signal]
     * @returns {AsyncGenerator<TurnEvent, void, undefined>}
     */
    resume(eventId: string, signal?: AbortSignal): AsyncGenerator<TurnEvent, void, undefined>;
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
    converse(body: TurnRequest & {
        client_message_id: string;
    }, signal?: AbortSignal, tries?: number): AsyncGenerator<TurnEvent, void, undefined>;
    #private;
}
/** Reads server-sent events from text that comes in pieces. */
export class EventParser {
    /**
     * The events that are whole after this piece.
     *
     * @param {string} piece
     * @returns {Generator<{name: string, data: string, id: string}>}
     */
    parse(piece: string): Generator<{
        name: string;
        data: string;
        id: string;
    }>;
    #private;
}
export type Schemas = import("./api.js").components["schemas"];
export type TurnRequest = Schemas["ChatRequest"];
export type Answer = Schemas["Answer"];
export type Actions = import("./actions.js").Actions;
export type StartEvent = {
    event: "start";
    id: string;
    data: Schemas["StartEvent"];
};
export type DeltaEvent = {
    event: "delta";
    id: string;
    data: Schemas["DeltaEvent"];
};
export type DoneEvent = {
    event: "done";
    id: string;
    data: Answer;
};
export type ErrorEvent = {
    event: "error";
    id: string;
    data: Schemas["ErrorEvent"];
};
export type TurnEvent = StartEvent | DeltaEvent | DoneEvent | ErrorEvent;
export type Options = {
    /**
     * The function's address, such as https://functions.example/roleplay_chat.
     */
    url: string;
    /**
     * The person's access
     * token, asked for before each request.
     */
    token: () => string | null | undefined | Promise<string | null | undefined>;
    /**
     * In place of the global one.
     */
    fetch?: typeof fetch | undefined;
    /**
     * A stream in which nothing came for so long counts as lost; 45,000 if not
     * given. The server sends a comment every ten seconds while there is nothing else.
     */
    silenceMs?: number | undefined;
};
