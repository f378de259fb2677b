// Loads the messages of the open conversation, a page at a time from the newest on.

import { act, data, supabase } from "./backend.js";
import { endEdit } from "./edits.js";
import { t } from "./language.js";
import { closeDialog, set, watchDialog } from "./page.js";
import { wholePositions } from "./paging.js";
import { activeMessages, state } from "./state.js";
import { announce } from "./tabs.js";
import { isOpen } from "./whereabouts.js";

const PAGE = 200;
const MOST = 1000; // rows in a response of the Data API
const IDS = 100; // that fit in an address

const inOrder = (conversation_id, ascending) =>
  supabase
    .from("messages")
    .select("id, position, sender, character_id, content, is_active, variant_of, created_at, edited_at")
    .match({ conversation_id, message_type: "text" })
    .order("position", { ascending })
    .order("created_at", { ascending })
    .order("id", { ascending: !ascending });

const newestFirst = (conversation_id) => inOrder(conversation_id, false);
const oldestFirst = (conversation_id) => inOrder(conversation_id, true);

let asked = 0;
let answered = 0;

/**
 * Loads the newest messages, and those again that were loaded before; `position` is one that changed
 * and may be older than all that fit in a response. An answer is dropped if a later request was answered
 * before; messages outside its range stay as they are. If later messages are not loaded, the newest are
 * not loaded either, unless they are to be shown `instead`.
 */
export async function loadMessages(position = null, instead = false) {
  const id = state.conversation?.id;
  if (!id) return;
  const mine = ++asked;
  const oldest = instead ? null : (state.messages[0]?.position ?? null);
  const newest = oldest !== null && state.hasLater ? state.messages.at(-1).position : Infinity;
  const limit = oldest === null ? PAGE : MOST;
  const page = wholePositions(await data(loaded(newestFirst(id).limit(limit), oldest, newest)), limit);
  const rows = page.rows.reverse();
  const from = page.more ? rows[0].position : oldest;
  const isChanged = oldest !== null && position !== null && position < from;
  const changed = isChanged ? await data(newestFirst(id).eq("position", position).limit(MOST)) : [];
  const [answers, hidden] = await details(id, [...changed, ...rows]);
  if (!isOpen(id) || mine < answered) return;
  answered = mine;
  const isKept = (place) => oldest !== null && (place < from || place > newest) && place !== position;
  set({
    ...(oldest === null ? { hasEarlier: page.more, hasLater: false } : {}),
    ...(instead ? {} : marked(rows.at(-1)?.position)),
    messages: [...state.messages.filter((row) => isKept(row.position)), ...changed, ...rows].sort(byPlace),
    answers,
    hidden: new Set([...[...state.hidden].filter(isKept), ...hidden]),
    phase: "ready",
  });
}

const byPlace = (a, b) => a.position - b.position || Date.parse(a.created_at) - Date.parse(b.created_at);

/** Of a query, the rows from `oldest` to `newest`; null and Infinity stand for no limit. */
function loaded(query, oldest, newest) {
  const from = oldest === null ? query : query.gte("position", oldest);
  return newest === Infinity ? from : from.lte("position", newest);
}

/** Marks messages that came while the person was reading earlier ones. */
function marked(newest) {
  const before = state.messages.at(-1)?.position;
  if (!state.away || before === undefined || !(newest > before)) return {};
  return { fresh: true, newFrom: state.newFrom ?? before };
}

/** Loads the page before the oldest message that is shown. */
export async function showEarlier() {
  const { id } = state.conversation;
  const before = state.messages[0].position;
  const page = wholePositions(await data(newestFirst(id).lt("position", before).limit(PAGE)), PAGE);
  const rows = page.rows.reverse();
  const [answers, hidden] = await details(id, rows);
  if (!isOpen(id) || state.messages[0]?.position !== before) return;
  set({
    messages: [...rows, ...state.messages],
    answers,
    hidden: new Set([...state.hidden, ...hidden]),
    hasEarlier: page.more,
  });
}

/** Loads the page after the newest message that is shown. */
export async function showLater() {
  const { id } = state.conversation;
  const after = state.messages.at(-1).position;
  const page = wholePositions(await data(oldestFirst(id).gt("position", after).limit(PAGE)), PAGE);
  const [answers, hidden] = await details(id, page.rows);
  if (!isOpen(id) || state.messages.at(-1)?.position !== after) return;
  set({
    messages: [...state.messages, ...page.rows],
    answers,
    hidden: new Set([...state.hidden, ...hidden]),
    hasLater: page.more,
  });
}

/** Loads the messages around a position, however far back it is, and shows the message there. */
export async function loadMessagesAround({ message_id, position }) {
  const { id } = state.conversation;
  const mine = ++asked;
  const [before, after] = await Promise.all([
    data(newestFirst(id).lte("position", position).limit(PAGE)),
    data(oldestFirst(id).gt("position", position).limit(PAGE)),
  ]);
  const [earlier, later] = [wholePositions(before, PAGE), wholePositions(after, PAGE)];
  const rows = [...earlier.rows.reverse(), ...later.rows];
  const [answers, hidden] = await details(id, rows);
  if (!isOpen(id) || mine < answered) return;
  answered = mine;
  const isThere = rows.some((row) => row.id === message_id && row.is_active);
  set({
    messages: rows,
    hasEarlier: earlier.more,
    hasLater: later.more,
    answers,
    hidden: new Set(hidden),
    phase: "ready",
    toEnd: false,
    ...(isThere ? { found: message_id, target: message_id } : { notice: t("This message was changed or deleted.") }),
  });
}

/** What belongs to these messages: the turns of replies, with those known before, and hidden positions. */
async function details(conversation_id, rows) {
  const replies = rows.filter((row) => row.sender === "character" && !state.answers.has(row.id)).map((row) => row.id);
  const parts = Array.from({ length: Math.ceil(replies.length / IDS) }, (_, index) => replies.slice(index * IDS, (index + 1) * IDS));
  const positions = rows.map((row) => row.position);
  const [hidden, ...turns] = await Promise.all([
    rows.length
      ? data(
          supabase
            .from("hidden_messages")
            .select("position")
            .eq("conversation_id", conversation_id)
            .gte("position", positions[0])
            .lte("position", positions.at(-1))
            .limit(MOST),
        )
      : [],
    ...parts.map((ids) =>
      data(supabase.from("turns").select("reply_message_id, model_used, status, result").in("reply_message_id", ids)),
    ),
  ]);
  const found = new Map(turns.flat().map((row) => [row.reply_message_id, row]));
  const answers = new Map([...state.answers, ...replies.map((id) => [id, found.get(id) ?? null])]);
  return [answers, hidden.map(({ position }) => position)];
}

// --- actions on messages --------------------------------------------------------------------

/** Carries out an action on a message of the open conversation, and tells other tabs. Resolves to whether it is still open. */
async function carryOut(message, body) {
  const { id } = state.conversation;
  await act({ ...body, message_id: message.id });
  announce(id);
  return isOpen(id);
}

/** Carries out an action on a message, and shows what it changed. */
async function change(message, body) {
  if (await carryOut(message, body)) await loadMessages(message.position);
}

export const choose = (message) => change(message, { action: "choose" });

/** Replaces a message's text. Returns the reply to it if there is one. */
export async function edit(message, text) {
  const { id } = state.conversation;
  if (await carryOut(message, { action: "edit", message: text })) {
    endEdit(id, message.id);
    await loadMessages(message.position);
  }
  if (isOpen(id) && !following(message) && state.hasLater) await showLater();
  const after = isOpen(id) ? following(message) : await findFollowing(id, message);
  return after?.sender === "character" ? after : null;
}

const following = ({ position }) => activeMessages().find(({ message }) => message.position > position)?.message;

/** The same in a conversation that is not open any more. */
const findFollowing = (id, { position }) =>
  data(oldestFirst(id).eq("is_active", true).gt("position", position).limit(1).maybeSingle());

export async function hide(message, hidden) {
  await change(message, { action: "hide", hidden });
  set({ said: hidden ? t("Models no longer read this message.") : t("Models read this message again.") });
}

export async function remove(message, onwards) {
  const isStill = watchDialog();
  const isHere = await carryOut(message, { action: "delete", onwards });
  if (isStill()) closeDialog();
  if (!isHere) return;
  const isKept = (row) => (onwards ? row.position < message.position : row.position !== message.position);
  set({
    said: t("Deleted."),
    messages: state.messages.filter(isKept),
    hasLater: state.hasLater && !onwards,
  });
  answered = ++asked; // what was read before would bring it back
  await loadMessages();
}
