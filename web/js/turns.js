// Turns: requests a reply, follows one that is being written, and stops it.
//
// A turn belongs to its conversation: it goes on when another one is opened, or the page is closed.

import { Dropped, UserError, act, data, resume, supabase, turn } from "./backend.js";
import { refreshList } from "./conversation-list.js";
import { giveBackDraft, keepDraft, replaceDraft } from "./drafts.js";
import { showEdit } from "./edits.js";
import { hold, isHeld } from "./holding.js";
import { t } from "./language.js";
import { edit, loadMessages } from "./messages.js";
import { turnTaken } from "./own-limits.js";
import { redraw, set, tell } from "./page.js";
import { sceneFields } from "./scene.js";
import { activeMessages, chosenModel, listMembers, state } from "./state.js";
import { announce } from "./tabs.js";

const TRIES = 5;
const UNTOLD = new Set(["dropped", "unauthorized"]); // What is about this reader alone.
const STOP_MS = 500;

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Requests a reply. `fields` belong to the request; `at` is the reply to regenerate or continue. */
export const take = (fields, at = null) => run(requested(fields), at);

/** A request for a reply in the open conversation. */
function requested(fields) {
  if (isHeld(state)) throw new UserError(t("Nothing can be sent now. Wait until the note above the message box is gone."));
  const named = (fields.message || fields.kickoff) && listMembers(state.conversation).length > 1 && state.speaker;
  const model = chosenModel();
  const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return {
    conversation_id: state.conversation.id,
    ...(named ? { character_id: state.speaker } : {}),
    ...(model ? { model_provider: model } : {}),
    ...(timeZone ? { time_zone: timeZone } : {}),
    ...sceneFields(),
    memory_tier: state.reach,
    content_tier: state.tier,
    // Only Stop ends a turn. Whoever leaves finds the reply when they come back.
    on_disconnect: "finish",
    client_message_id: crypto.randomUUID(),
    ...fields,
  };
}

function beginning(body, at, more = {}) {
  const leaving = new AbortController();
  // `heard` is the id of the last event.
  const current = { id: null, heard: null, body, at, text: "", note: "", speaker: body.character_id ?? null, isStopped: false, ...more };
  return Object.assign(current, { signal: leaving.signal, abort: () => leaving.abort() });
}

/** Sends a request, and shows its reply or its error. */
async function run(body, at = null) {
  const id = body.conversation_id;
  if (state.running.has(id)) return;
  const current = beginning(body, at);
  state.running.set(id, current);
  if (isOpen(current)) {
    set({ trouble: null, notice: "", editing: null, said: t("Writing a reply."), toEnd: !at, newFrom: null, fresh: false });
  }
  announce(id);
  let failure = null;
  try {
    if (!at && isOpen(current) && state.hasLater) await loadMessages(null, true);
    await heard(current);
  } catch (error) {
    failure = error;
  }
  await end(current, failure);
}

/** Receives a reply. Retries are safe: a client_message_id is answered only once. */
async function heard(current) {
  for (let tries = 1; ; tries += 1) {
    try {
      const { body, signal, heard } = current;
      current.isResumed = Boolean(heard);
      for await (const event of heard ? resume(heard, signal) : turn(body, signal)) hear(current, event);
      return;
    } catch (error) {
      // If a kept connection was cut, browsers repeat the request on their own. So even at the first
      // try, the running turn can be this one.
      const running = error.code === "turn_in_progress";
      if (!(error instanceof Dropped || running) || tries === TRIES || current.signal.aborted) throw error;
      if (running && (await isRunning(current))) {
        tries -= 1;
        continue;
      }
      current.note = running ? t("Waiting for the reply …") : t("The connection was lost. Fetching the reply …");
      if (isOpen(current)) set({ said: current.note });
      await delay(Math.max(1000 * 2 ** (tries - 1), error.seconds * 1000));
    }
  }
}

/** Takes one event of a reply. After another start, the text begins anew. */
function hear(current, { event, id, data: said }) {
  current.heard = id || current.heard;
  if (event === "delta") current.text += said.text;
  if (event === "start") Object.assign(current, { id: said.turn_id, speaker: said.character_id, text: "" });
  // Whoever came back later reads why, until the reply is there.
  if (event === "start" && !current.isStopped && !current.isResumed) current.note = "";
  if (event === "start") announce(current.body.conversation_id);
  if (event === "start" && said.notice && isOpen(current)) set({ notice: said.notice, said: said.notice });
  if (event === "error") throw new UserError(said.error, said.code);
  if (event === "done") finished(current, said);
  redraw();
}

/** Whether it is this very turn that runs; then its events can be read from the first on. */
async function isRunning(current) {
  const row = await data(running(current.body.conversation_id)).catch(() => null);
  if (!row || row.client_message_id !== current.body.client_message_id) return false;
  if (!current.isStopped) current.note = t("The connection was lost. Waiting for the reply …");
  Object.assign(current, { id: row.id, heard: beforeFirst(row.id) });
  if (isOpen(current)) set({ said: current.note });
  return true;
}

/** The id before the first event of a turn. */
const beforeFirst = (turn_id) => `${turn_id}/0.0`;

const isOpen = ({ body }) => state.conversation?.id === body.conversation_id;

function finished(current, answer) {
  if (current.body.action === "impersonate" && answer.response.trim()) replaceDraft(current.body.conversation_id, answer.response);
  if (!isOpen(current)) return;
  const lines = [answer.notice];
  if (!answer.saved) lines.push(t("This reply could not be saved. Copy it if you want to keep it."));
  if (current.body.content_tier === "nsfw" && answer.content_tier === "sfw") {
    lines.push(t("Written for a general audience: adult content is not available in this conversation."));
  }
  set({ notice: lines.filter(Boolean).join(" "), said: answer.response });
}

/** Shows what a turn has left, whether its conversation is open or not. */
async function end(current, failure) {
  const { body, at, signal } = current;
  const id = body.conversation_id;
  if (signal.aborted) return;
  const stopped = current.isStopped && (!failure || failure.code === "stopped");
  if (stopped) failure = null;
  try {
    if (isOpen(current)) await loadMessages(at?.position);
  } catch (error) {
    failure ??= error;
  }
  state.running.delete(id);
  if (isOpen(current)) showEdit();
  set(isOpen(current) && stopped ? { said: t("Stopped. The text so far is saved.") } : {});
  announce(id);
  turnTaken();
  // The next look at the list may succeed.
  refreshList().catch(() => {});
  if (failure) await giveBack(failure, current);
}

/** After a failure, puts the person's text back into the message box unless it was saved. */
async function giveBack(error, current) {
  const { body } = current;
  if (error.code === "rate_limited" && error.seconds) hold(error.seconds);
  const sent = (body.action ?? "send") === "send" && body.message;
  const isSaved = isOpen(current) ? isSaid(body) : await wasSaved(body);
  if (sent && !isSaved && error.code !== "reply_incomplete") giveBackDraft(body.conversation_id, body.message);
  if (isOpen(current)) tell(error, body);
}

/** Whether the last message is the one of this request, still without a reply. */
function isSaid(body) {
  const last = activeMessages().at(-1)?.message;
  return Boolean(body.message && last?.sender === "user" && last.content === body.message);
}

/** The same of a conversation that is not open; false if that cannot be known. */
async function wasSaved(body) {
  const newest = supabase.from("messages").select("sender, content").eq("conversation_id", body.conversation_id);
  const [last] = await data(newest.order("position", { ascending: false }).limit(1)).catch(() => []);
  return last?.sender === "user" && last.content === body.message;
}

export function send(message) {
  if (!message.trim() || state.turn || state.phase === "failed" || isHeld(state)) return;
  keepDraft(state.conversation.id, "");
  return take({ message });
}

/** Sends the failed request again. */
export function tryAgain() {
  const { body, code } = state.trouble;
  if (state.draft === body.message) keepDraft(body.conversation_id, "");
  // If the message was saved, only its reply is requested. After a lost connection there may already
  // be one, and repeating the request fetches it.
  if (code !== "dropped" && isSaid(body)) return take({ action: "regenerate" });
  const model = chosenModel();
  return run({ ...body, ...(model ? { model_provider: model } : {}) });
}

/** Edits the person's message and has its reply written anew, also if they open another conversation meanwhile. */
export async function editAndAnswer(message, text) {
  const request = requested({ action: "regenerate" });
  const reply = await edit(message, text);
  await run({ ...request, ...(reply ? { message_id: reply.id } : {}) }, reply);
}

// --- turns that are being written -----------------------------------------------------------

const TURN = "id, action, client_message_id, character_id, replaces_message_id, lease_expires_at";
const running = (conversation_id) =>
  supabase.from("turns").select(TURN).match({ conversation_id, status: "running" }).limit(1).maybeSingle();

/** Shows a turn that began in another tab, on another device or before a reload, until it ends. */
export async function follow() {
  const conversation_id = state.conversation.id;
  const row = state.running.has(conversation_id) ? null : await data(running(conversation_id));
  if (!row || state.running.has(conversation_id) || Date.parse(row.lease_expires_at) < Date.now()) return;
  const { id, action, client_message_id, character_id } = row;
  const body = { conversation_id, action, client_message_id };
  const at = state.messages.find((message) => message.id === row.replaces_message_id) ?? null;
  const note = t("Waiting for the reply …");
  const current = beginning(body, at, { id, heard: beforeFirst(id), speaker: character_id, note });
  state.running.set(conversation_id, current);
  redraw();
  let failure = null;
  try {
    await heard(current);
  } catch (error) {
    // Whoever asked for it was told. Here, what is saved is shown.
    failure = UNTOLD.has(error.code) ? error : null;
  }
  await end(current, failure);
}

/** Stops the running turn of the open conversation; what was written so far is kept. */
export async function stop() {
  const current = state.turn;
  if (!current || current.isStopped) return;
  const { note } = current;
  Object.assign(current, { isStopped: true, note: t("Stopping …") });
  redraw();
  try {
    const turn_id = current.id ?? (await findTurn(current));
    if (turn_id) await act({ action: "stop", turn_id });
  } catch (error) {
    // Another attempt may succeed.
    Object.assign(current, { isStopped: false, note });
    redraw();
    throw error;
  }
}

/** The id of a turn that has not said a word yet; null if it ended meanwhile. */
async function findTurn({ body }) {
  const { conversation_id, client_message_id } = body;
  while (state.running.has(conversation_id)) {
    const row = await data(running(conversation_id));
    if (row?.client_message_id === client_message_id) return row.id;
    await delay(STOP_MS);
  }
  return null;
}
