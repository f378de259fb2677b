// The two services behind the pages: Supabase (sign-in and rows) and the functions.

import { config } from "../config.js";
import { EventSourceParserStream } from "../vendor/eventsource/stream.js";
import { t } from "./language.js";

const SILENCE_MS = 45_000; // Streams send a comment every ten seconds while there is nothing else.
const FAILED = t("That did not work. Try again in a moment, or reload the page.");
const SIGNED_OUT = t("You are signed out. Sign in again to continue.");
const UNREACHABLE = t("The service cannot be reached. Check your connection, then try again.");

const { createClient, isAuthError } = globalThis.supabase;

export const supabase = createClient(
  config.supabaseUrl || location.origin,
  config.publishableKey,
  { auth: { flowType: "pkce", detectSessionInUrl: false } },
);

/**
 * An error whose message is shown to the person. `seconds` is how long to wait before a retry, `field`
 * the name of the field of a form that it is about.
 */
export class UserError extends Error {
  constructor(sentence, code = "", seconds = 0, field = "") {
    super(sentence);
    this.code = code;
    this.seconds = seconds;
    this.field = field;
  }
}

/** The connection was lost, or nothing arrived for too long. */
export class Dropped extends UserError {
  constructor() {
    super(UNREACHABLE, "dropped");
  }
}

/** The person's token is missing or no longer valid. */
class SignedOut extends UserError {
  constructor() {
    super(SIGNED_OUT, "unauthorized");
  }
}

const SENTENCES = {
  23503: t("It is still in use. Remove what uses it first."),
  23505: t("This name already exists. Choose another one."),
  23514: t("This value is not allowed. Correct it and try again."),
  413: t("This is too large to be saved. Shorten it and try again."),
  42501: t("You do not have permission to do this. Ask an admin."),
  invalid_credentials: t("Email or password is wrong. Try again, or create an account."),
  user_already_exists: t("An account with this email already exists. Sign in instead."),
  email_not_confirmed: t("Open the link in the email we sent, then sign in."),
  over_request_rate_limit: t("Too many attempts. Wait a minute, then try again."),
};

/** The data of a Data API query or an Auth call. Throws `UserError` if it fails. */
export async function data(query) {
  const { data, error, status } = await query;
  if (!error) return data;
  if (/fetch|network/i.test(error.message)) throw new Dropped();
  if (status === 401) throw new SignedOut();
  const code = status === 413 ? "413" : error.code; // servers before the database refuse a large body
  const worded = isAuthError(error) || /^PT\d/.test(code); // PT...: written by our database for people
  const sentence = SENTENCES[code] ?? (worded ? error.message.replace(/\.?$/, ".") : FAILED);
  throw new UserError(sentence, code);
}

/** The response of `roleplay_chat` to an action that is not a turn. */
export async function act(body) {
  return (await post(body)).json();
}

/** The events of one turn, {event, data}. Throws `UserError`; `Dropped` if the connection is lost. */
export async function* turn(body, signal) {
  const quiet = new AbortController();
  let timer = setTimeout(() => quiet.abort(), SILENCE_MS);
  try {
    const response = await post({ ...body, stream: true }, AbortSignal.any([signal, quiet.signal]));
    const heard = new TransformStream({
      transform(piece, next) {
        clearTimeout(timer);
        timer = setTimeout(() => quiet.abort(), SILENCE_MS);
        next.enqueue(piece);
      },
    });
    const reader = response.body
      .pipeThrough(heard)
      .pipeThrough(new TextDecoderStream())
      .pipeThrough(new EventSourceParserStream())
      .getReader();
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Dropped();
      yield { event: value.event, data: JSON.parse(value.data) };
      if (value.event === "done" || value.event === "error") return;
    }
  } catch (error) {
    if (signal.aborted || error instanceof UserError) throw error;
    throw new Dropped();
  } finally {
    clearTimeout(timer);
  }
}

async function post(body, signal) {
  const { data } = await supabase.auth.getSession();
  const token = data.session?.access_token;
  if (!token) throw new SignedOut();
  let response;
  try {
    response = await fetch(`${config.functionsUrl}/roleplay_chat`, {
      method: "POST",
      headers: { Authorization: `Bearer ${token}`, "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal,
    });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new Dropped();
  }
  if (response.ok) return response;
  if (response.status === 401) throw new SignedOut();
  const envelope = await response.json().catch(() => ({}));
  throw new UserError(
    envelope.error ?? t("The service answered {status}. Try again in a moment.", { status: String(response.status) }),
    envelope.code ?? "",
    Number(response.headers.get("Retry-After")) || 0,
  );
}
