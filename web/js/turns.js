// Turns: requests a reply, and changes replies and messages.

import { Dropped, UserError, act, turn } from "./backend.js";
import { loadMessages, settled } from "./conversations.js";
import { redraw, set, tell } from "./page.js";
import { activeMessages, chosenModel, listMembers, state } from "./state.js";

const TRIES = 5;

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Requests a reply. `fields` belong to the request; `at` is the reply to regenerate or continue. */
export function take(fields, at = null) {
  const named = (fields.message || fields.kickoff) && listMembers(state.conversation).length > 1 && state.speaker;
  const model = chosenModel();
  const timeZone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  return run(
    {
      conversation_id: state.conversation.id,
      ...(named ? { character_id: state.speaker } : {}),
      ...(model ? { model_provider: model } : {}),
      ...(timeZone ? { time_zone: timeZone } : {}),
      memory_tier: state.reach,
      content_tier: state.tier,
      // Stop closes the connection: then the model has to stop, and the text so far is saved.
      on_disconnect: "stop",
      client_message_id: crypto.randomUUID(),
      ...fields,
    },
    at,
  );
}

/** Sends a request, and shows its reply or its error. */
async function run(body, at = null) {
  if (state.turn) return;
  const stop = new AbortController();
  let stopped = false;
  const current = {
    body,
    at,
    text: "",
    note: "",
    speaker: body.character_id ?? null,
    stop: () => {
      stopped = true;
      stop.abort();
    },
    abort: () => stop.abort(),
  };
  set({ turn: current, trouble: null, notice: "", editing: null, said: "Writing a reply." });
  let failure = null;
  try {
    await heard(current, stop.signal);
  } catch (error) {
    if (!stop.signal.aborted) failure = error;
  }
  if (state.turn !== current) return;
  try {
    if (state.conversation?.id === body.conversation_id) {
      if (stopped) await settled(body.conversation_id);
      await loadMessages();
    }
    if (stopped) set({ said: "Stopped. The text so far is saved." });
  } catch (error) {
    failure ??= error;
  }
  set({ turn: null });
  if (failure) giveBack(failure, body);
}

/** Receives a reply. Retries are safe: a client_message_id is answered only once. */
async function heard(current, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      current.text = "";
      for await (const { event, data: said } of turn(current.body, signal)) {
        if (event === "delta") current.text += said.text;
        if (event === "start") Object.assign(current, { note: "", speaker: said.character_id });
        if (event === "start" && said.notice) set({ notice: said.notice, said: said.notice });
        if (event === "error") throw new UserError(said.error, said.code);
        if (event === "done") finished(current, said);
        redraw();
      }
      return;
    } catch (error) {
      // If a kept connection was cut, browsers repeat the request on their own. So even at the first
      // try, the running turn can be this one.
      const running = error.code === "turn_in_progress";
      if (!(error instanceof Dropped || running) || tries === TRIES || signal.aborted) throw error;
      current.note = running ? "Waiting for the reply …" : "The connection was lost. Fetching the reply …";
      set({ said: current.note });
      await delay(Math.max(1000 * 2 ** (tries - 1), error.seconds * 1000));
    }
  }
}

function finished(current, answer) {
  if (current.body.action === "impersonate") state.draft = answer.response;
  const lines = [answer.notice];
  if (!answer.saved) lines.push("This reply could not be saved. Copy it if you want to keep it.");
  if (current.body.content_tier === "nsfw" && answer.content_tier === "sfw") {
    lines.push("Written for a general audience: adult content is not available in this conversation.");
  }
  set({ notice: lines.filter(Boolean).join(" "), said: answer.response });
}

/** After a failure, puts the person's text back into the message box unless it was saved. */
function giveBack(error, body) {
  const sent = (body.action ?? "send") === "send" && body.message;
  if (sent && !isSaid(body) && !state.draft && error.code !== "reply_incomplete") state.draft = body.message;
  tell(error, body);
}

/** Whether the last message is the one of this request, still without a reply. */
function isSaid(body) {
  const last = activeMessages().at(-1)?.message;
  return body.message && last?.sender === "user" && last.content === body.message;
}

export function send(message) {
  if (!message.trim() || state.turn) return;
  state.draft = "";
  return take({ message });
}

/** Sends the failed request again. */
export function tryAgain() {
  const { body, code } = state.trouble;
  if (state.draft === body.message) state.draft = "";
  // If the message was saved, only its reply is requested. After a lost connection there may already
  // be one, and repeating the request fetches it.
  if (code !== "dropped" && isSaid(body)) return take({ action: "regenerate" });
  const model = chosenModel();
  return run({ ...body, ...(model ? { model_provider: model } : {}) });
}

// --- messages -------------------------------------------------------------------------------

export async function choose(message) {
  await act({ action: "choose", message_id: message.id });
  await loadMessages();
}

export async function edit(message, text, anew) {
  await act({ action: "edit", message_id: message.id, message: text });
  set({ editing: null });
  await loadMessages();
  if (!anew) return;
  const after = activeMessages().find((place) => place.message.position > message.position);
  const reply = after?.message.sender === "character" ? after.message : null;
  await take({ action: "regenerate", ...(reply ? { message_id: reply.id } : {}) }, reply);
}

export async function hide(message, hidden) {
  await act({ action: "hide", message_id: message.id, hidden });
  set({ said: hidden ? "Models no longer read this message." : "Models read this message again." });
  await loadMessages();
}

export async function remove(message, onwards) {
  await act({ action: "delete", message_id: message.id, onwards });
  set({ dialog: null, said: "Deleted." });
  await loadMessages();
}
