// The two services behind the pages: Supabase (sign-in and rows) and the functions.

import { createClient, isAuthError } from "@supabase/supabase-js";
import { ChatClient, ChatError, ConnectionLost } from "../../clients/typescript/index.js";
import { config } from "../config.js";
import { sentenceOf } from "./data-errors.js";
import { fetchInTime } from "./fetch-in-time.js";
import { t } from "./language.js";

const SIGNED_OUT = t("You are signed out. Sign in again to continue.");
const UNREACHABLE = t("The service cannot be reached. Check your connection, then try again.");

export const supabase = createClient(
  config.supabaseUrl || location.origin,
  config.publishableKey,
  { auth: { flowType: "pkce", detectSessionInUrl: false }, global: { fetch: fetchInTime } },
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

/** The data of a Data API query or an Auth call. Throws `UserError` if it fails. */
export async function data(query) {
  const { data, error, status } = await query;
  if (!error) return data;
  if (/fetch|network|abort/i.test(error.message)) throw new Dropped();
  if (status === 401) throw new SignedOut();
  const code = status === 413 ? "413" : error.code; // servers before the database refuse a large body
  console.info(error); // in its own words, which are not shown
  throw new UserError(sentenceOf(code, error.message, isAuthError(error)), code, 0, fieldOf(error));
}

const PAGE = 1000; // the most rows that the Data API returns at once
const PAGES = 20;

/**
 * All rows of a query, at most 20,000. `query` makes it anew for each page, in an order in which no two rows are equal.
 */
export async function all(query) {
  const rows = [];
  for (let page = 0; page < PAGES; page += 1) {
    const more = await data(query().range(page * PAGE, (page + 1) * PAGE - 1));
    rows.push(...more);
    if (more.length < PAGE) break;
  }
  return rows;
}

/** Whether there are as many rows as `all` reads, so perhaps more. */
export const isCut = (rows) => rows.length === PAGE * PAGES;

/** The column that our database names in the details of a refusal. */
const fieldOf = ({ code, details }) => (/^PT4(00|09)$/.test(code) && /^[a-z_]+$/.test(details ?? "") ? details : "");

const client = new ChatClient({
  url: `${config.functionsUrl || location.origin}/roleplay_chat`,
  token: async () => (await supabase.auth.getSession()).data.session?.access_token,
});

/** The response of `roleplay_chat` to an action that is not a turn. */
export const act = (body) => client.act(body).catch(rethrow);

/** The events of one turn, {event, id, data}. Throws `UserError`; `Dropped` if the connection is lost. */
export const turn = (body, signal) => forPeople(client.turn(body, signal));

/** The same of a turn that runs already, after the event with this id; `<turn>/0.0`: all of them. */
export const resume = (eventId, signal) => forPeople(client.resume(eventId, signal));

async function* forPeople(events) {
  try {
    yield* events;
  } catch (error) {
    rethrow(error);
  }
}

/** Throws an error of the client as one that is shown to the person. */
function rethrow(error) {
  if (error instanceof ConnectionLost) throw new Dropped();
  if (error instanceof ChatError && error.status === 401) throw new SignedOut();
  throw error instanceof ChatError ? new UserError(error.message, error.code, error.seconds) : error;
}
