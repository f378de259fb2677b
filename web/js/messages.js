// Loads the messages of the open conversation, a page at a time from the newest on.

import { act, data, supabase } from "./backend.js";
import { set } from "./page.js";
import { wholePositions } from "./paging.js";
import { activeMessages, state } from "./state.js";
import { announce } from "./tabs.js";

const PAGE = 200;
const MOST = 1000; // rows in a response of the Data API
const IDS = 100; // that fit in an address

const newestFirst = (conversation_id) =>
  supabase
    .from("messages")
    .select("id, position, sender, character_id, content, is_active, variant_of, created_at, edited_at")
    .match({ conversation_id, message_type: "text" })
    .order("position", { ascending: false })
    .order("created_at", { ascending: false })
    .order("id");

let asked = 0;
let answered = 0;

/**
 * Loads the newest messages, and those again that were loaded before; `position` is one that changed
 * and may be older than all that fit in a response. An answer never replaces that of a later request.
 */
export async function loadMessages(position = null) {
  const id = state.conversation?.id;
  if (!id) return;
  const mine = ++asked;
  const oldest = state.messages[0]?.position ?? null;
  const limit = oldest === null ? PAGE : MOST;
  const query = newestFirst(id).limit(limit);
  const page = wholePositions(await data(oldest === null ? query : query.gte("position", oldest)), limit);
  const rows = page.rows.reverse();
  const first = rows[0]?.position ?? oldest;
  const older = page.more && oldest !== null ? await refreshed(state.messages.filter((row) => row.position < first), position) : [];
  const [answers, hidden] = await details(id, [...older.filter((row) => row.position === position), ...rows]);
  if (state.conversation?.id !== id || mine < answered) return;
  answered = mine;
  const kept = [...state.hidden].filter((place) => place < first && place !== position);
  set({
    ...(oldest === null ? { hasEarlier: page.more } : {}),
    ...marked(rows.at(-1)?.position),
    messages: [...older, ...rows],
    answers,
    hidden: new Set([...kept, ...hidden]),
    phase: "ready",
  });
}

/** Older rows, with those of one position as they are now. */
async function refreshed(older, position) {
  if (!older.some((row) => row.position === position)) return older;
  const now = await data(newestFirst(state.conversation.id).eq("position", position).limit(MOST));
  return [...older.filter((row) => row.position !== position), ...now].sort(
    (a, b) => a.position - b.position || Date.parse(a.created_at) - Date.parse(b.created_at),
  );
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
  if (state.conversation?.id !== id || state.messages[0]?.position !== before) return;
  set({
    messages: [...rows, ...state.messages],
    answers,
    hidden: new Set([...state.hidden, ...hidden]),
    hasEarlier: page.more,
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

/** Carries out an action on a message, shows what it changed, and tells other tabs. */
async function change(message, body) {
  await act({ ...body, message_id: message.id });
  announce(state.conversation?.id);
  await loadMessages(message.position);
}

export const choose = (message) => change(message, { action: "choose" });

/** Replaces a message's text. Returns the reply to it if there is one. */
export async function edit(message, text) {
  await act({ action: "edit", message_id: message.id, message: text });
  announce(state.conversation?.id);
  set({ editing: null });
  await loadMessages(message.position);
  const after = activeMessages().find((place) => place.message.position > message.position);
  return after?.message.sender === "character" ? after.message : null;
}

export async function hide(message, hidden) {
  await change(message, { action: "hide", hidden });
  set({ said: hidden ? "Models no longer read this message." : "Models read this message again." });
}

export async function remove(message, onwards) {
  await act({ action: "delete", message_id: message.id, onwards });
  announce(state.conversation?.id);
  const isKept = (row) => (onwards ? row.position < message.position : row.position !== message.position);
  set({ dialog: null, said: "Deleted.", messages: state.messages.filter(isKept) });
  await loadMessages();
}
