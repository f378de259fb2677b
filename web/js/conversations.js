// Loads and changes conversations, characters, messages and models.

import { act, data, supabase } from "./backend.js";
import { inBase64 } from "./files.js";
import { legible } from "./legible.js";
import { openDialog, set } from "./page.js";
import { loadPortraits } from "./portrait.js";
import { MESSAGES, listMembers, state } from "./state.js";

const CONVERSATION = "*, conversation_characters(character_id, position)";
const FURTHER = 8; // most characters besides the first

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

export async function loadAll() {
  const [conversations, characters, companions] = await Promise.all([
    data(supabase.from("conversations").select(CONVERSATION).order("updated_at", { ascending: false }).limit(200)),
    data(
      supabase
        .from("characters")
        .select("id, user_id, name, description, first_message, alternate_greetings, age, content_rating")
        .order("name")
        .limit(500),
    ),
    data(supabase.from("companions").select("character_id, name")),
    loadModels(),
    loadPortraits(),
  ]);
  set({ conversations, characters: readable(characters), companions: readable(companions) });
}

const readable = (rows) => rows.map((row) => ({ ...row, name: legible(row.name) }));

/** Loads who can answer now: models and workers, their cooldowns, and the workers' health. */
export async function loadModels() {
  const [models, cooldowns, rows] = await Promise.all([
    data(
      supabase
        .from("api_models")
        .select("id, model_key, display_name, is_default, capabilities, catalog_status, api_providers(is_active)")
        .match({ task: "roleplay", is_active: true })
        .order("priority")
        .order("model_key"),
    ),
    data(supabase.from("models_on_cooldown").select("model_id, worker, until")),
    data(supabase.from("chat_worker_health").select("name, display_name, is_healthy, checked_at, response_ms").order("name")),
  ]);
  const workers = rows.map((row) => ({
    name: row.name,
    display_name: legible(row.display_name),
    health: { isHealthy: row.is_healthy, lastChecked: row.checked_at, responseTimeMs: row.response_ms },
  }));
  set({ models, cooldowns, workers });
}

export async function loadMessages() {
  const id = state.conversation?.id;
  if (!id) return;
  const [messages, hidden, turns] = await Promise.all([
    data(
      supabase
        .from("messages")
        .select("id, position, sender, character_id, content, is_active, variant_of, created_at, edited_at")
        .match({ conversation_id: id, message_type: "text" })
        .order("position", { ascending: false })
        .order("created_at", { ascending: false })
        .limit(state.shown),
    ),
    data(
      supabase
        .from("hidden_messages")
        .select("position")
        .eq("conversation_id", id)
        .order("position", { ascending: false })
        .limit(state.shown),
    ),
    data(
      supabase
        .from("turns")
        .select("reply_message_id, model_used, status, result")
        .eq("conversation_id", id)
        .not("reply_message_id", "is", null)
        .order("created_at", { ascending: false })
        .limit(state.shown),
    ),
  ]);
  if (state.conversation?.id !== id) return;
  const answers = new Map(turns.map((row) => [row.reply_message_id, row]));
  set({ messages: messages.reverse(), answers, hidden: new Set(hidden.map(({ position }) => position)) });
}

export const showEarlier = () => {
  state.shown += MESSAGES;
  return loadMessages();
};

/** Waits until no turn is running in the conversation, ten seconds at most. */
export async function settled(id) {
  for (let tries = 0; tries < 20; tries += 1) {
    const running = await data(
      supabase.from("turns").select("id").match({ conversation_id: id, status: "running" }).limit(1),
    );
    if (!running.length) return;
    await delay(500);
  }
}

// --- conversations --------------------------------------------------------------------------

export async function open(conversation) {
  state.turn?.abort();
  set({
    conversation,
    messages: [],
    answers: new Map(),
    hidden: new Set(),
    shown: MESSAGES,
    trouble: null,
    notice: "",
    editing: null,
    memory: null,
    dialog: null,
    menu: false,
    speaker: "",
    tier: localStorage.getItem(`tier:${conversation.id}`) ?? "sfw",
  });
  history.replaceState(null, "", `#${conversation.id}`);
  await settled(conversation.id);
  await loadMessages();
}

export async function talkWith(character) {
  const row = { user_id: state.me.id, character_id: character.id };
  const { id } = await data(supabase.from("conversations").insert(row).select("id").single());
  const conversation = await data(supabase.from("conversations").select(CONVERSATION).eq("id", id).single());
  state.conversations.unshift(conversation);
  await open(conversation);
  document.getElementById("message")?.focus();
}

export async function changeConversation(changes) {
  await data(supabase.from("conversations").update(changes).eq("id", state.conversation.id));
  await reread();
}

/** Opens the settings with the author's note and the sampler settings of the open conversation. */
export async function showSettings() {
  const { id } = state.conversation;
  const rows = await data(
    supabase.from("conversation_settings").select("note, note_depth, note_role, sampling").eq("conversation_id", id),
  );
  openDialog("settings", { kept: rows[0] ?? { note: "", note_depth: 4, note_role: "system", sampling: {} } });
}

/** Saves the changed settings alone: others may be on their way. */
export async function keepSettings(changes) {
  set({ dialog: { ...state.dialog, kept: { ...state.dialog.kept, ...changes } } });
  await data(supabase.from("conversation_settings").upsert({ conversation_id: state.conversation.id, ...changes }));
  set({ said: "Saved." });
}

export const keepSampling = (name, value) =>
  keepSettings({ sampling: { ...state.dialog.kept.sampling, [name]: value } });

async function reread() {
  const { id } = state.conversation;
  const row = await data(supabase.from("conversations").select(CONVERSATION).eq("id", id).single());
  const conversations = state.conversations.map((each) => (each.id === id ? row : each));
  set({ conversations, ...(state.conversation?.id === id ? { conversation: row } : {}) });
}

export async function deleteConversation() {
  const { id } = state.conversation;
  await data(supabase.from("conversations").delete().eq("id", id));
  localStorage.removeItem(`tier:${id}`);
  history.replaceState(null, "", location.pathname);
  set({
    conversation: null,
    messages: [],
    dialog: null,
    said: "The conversation was deleted.",
    conversations: state.conversations.filter((each) => each.id !== id),
  });
}

export async function branch(message) {
  const id = crypto.randomUUID();
  const { conversation_id } = await act({ action: "branch", message_id: message.id, client_message_id: id });
  await loadAll();
  await open(state.conversations.find((each) => each.id === conversation_id));
  set({ notice: "This is a branch with a copy of the earlier messages. The original conversation is unchanged." });
}

// --- characters -----------------------------------------------------------------------------

/** Whether another character can join the open conversation. */
export const hasRoom = () => state.conversation.conversation_characters.length < FURTHER;

export async function addCharacter(character) {
  const { id, conversation_characters } = state.conversation;
  const taken = conversation_characters.map(({ position }) => position);
  // The position after the last one, or a free one if the last is taken.
  const last = Math.max(-1, ...taken);
  const places = Array.from({ length: FURTHER }, (_, index) => (last + 1 + index) % FURTHER);
  const position = places.find((place) => !taken.includes(place));
  await data(
    supabase.from("conversation_characters").insert({ conversation_id: id, character_id: character.id, position }),
  );
  set({ said: `${character.name} has joined.` });
  await reread();
}

export async function removeCharacter(character) {
  const { id } = state.conversation;
  await data(
    supabase.from("conversation_characters").delete().match({ conversation_id: id, character_id: character.id }),
  );
  set({ said: `${character.name} has left.`, speaker: "" });
  await reread();
}

/** The characters that are not in the open conversation. */
export function strangers() {
  const members = listMembers(state.conversation);
  return state.characters.filter((character) => !members.includes(character));
}

/** Imports a card, or asks whose chat a file of messages is. */
export function importFile(file) {
  if (!/\.jsonl$/i.test(file.name)) return importCard(file);
  openDialog("chat", { file, once: crypto.randomUUID() });
}

async function importCard(file) {
  const card = await act({ action: "import_card", card_base64: await inBase64(file) });
  await loadAll();
  openDialog("imported", { card: { ...card, name: legible(card.name) } });
}

// --- chat files -----------------------------------------------------------------------------

/** Makes a conversation of a file. `once` is the same for a request that is repeated. */
export async function importChat(file, character_id, once) {
  const title = file.name.replace(/\.jsonl$/i, "").slice(0, 200);
  const chat_base64 = await inBase64(file);
  const made = await act({ action: "import_chat", character_id, title, chat_base64, client_message_id: once });
  await loadAll();
  await open(state.conversations.find(({ id }) => id === made.conversation_id));
  openDialog("chat-imported", { chat: { ...made, joined: made.joined.map(legible), warnings: made.warnings.map(legible) } });
}

export async function exportChat() {
  const { id, title } = state.conversation;
  const { chat } = await act({ action: "export_chat", conversation_id: id });
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([chat], { type: "application/jsonl" }));
  link.download = `${title.replace(/[^\p{L}\p{N} -]/gu, "").trim() || "Conversation"}.jsonl`;
  link.click();
  URL.revokeObjectURL(link.href);
  set({ said: "The chat was exported." });
}

// --- choices --------------------------------------------------------------------------------

export function chooseModel(model) {
  localStorage.setItem("model", model);
  set({ model });
}

export function chooseReach(reach) {
  localStorage.setItem("reach", reach);
  set({ reach });
}

export function chooseTier(tier) {
  localStorage.setItem(`tier:${state.conversation.id}`, tier);
  set({ tier });
}
