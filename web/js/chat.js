// The chat: its state, and what changes it. `views.js` draws it.

import { render } from "../vendor/lit/lit-html.js";
import { Dropped, Refused, ask, data, supabase, turn } from "./backend.js";
import { onUser, whoAmI } from "./session.js";
import { page } from "./views.js";

const MESSAGES = 200;
const TRIES = 5;
export const WORKER = "chat_worker";

export const state = {
  ready: false,
  me: null,
  conversations: [],
  characters: [],
  models: [],
  health: null,
  conversation: null, // the open one
  messages: [], // of all versions, in order
  answers: new Map(), // which model wrote a reply, and its notice, by message id
  shown: MESSAGES,
  turn: null, // {body, text, before, note} while a reply is written
  trouble: null, // {sentence, code, body} of what went wrong last
  notice: "", // what else the person should know
  editing: null, // a message id
  draft: "",
  dialog: null, // {name, ...}
  memory: null,
  menu: false,
  said: "", // for screen readers
  model: localStorage.getItem("model") ?? "",
  tier: "sfw",
  reach: localStorage.getItem("reach") ?? "conversation",
};

const root = document.getElementById("app");
let drawing = 0;

/** Draw the state as it is, at the next frame. */
export function redraw() {
  drawing ||= requestAnimationFrame(() => {
    drawing = 0;
    const column = root.querySelector(".column");
    const atEnd = !column || column.scrollHeight - column.scrollTop - column.clientHeight < 80;
    render(page(state), root);
    const dialog = root.querySelector("dialog:not([open])");
    dialog?.showModal();
    const after = root.querySelector(".column");
    if (after && atEnd) after.scrollTop = after.scrollHeight;
  });
}

/** Change the state and draw it. */
export function set(changes) {
  Object.assign(state, changes);
  redraw();
}

/** What an element is to do when used; what goes wrong is told. */
export function doing(action) {
  return async (event) => {
    try {
      await action(event);
    } catch (error) {
      tell(error);
    }
  };
}

function tell(error, body = null) {
  if (!(error instanceof Refused)) console.error(error);
  const sentence = error instanceof Refused ? error.message : "Something went wrong. Load the page again.";
  set({ trouble: { sentence, code: error.code, body }, said: sentence });
}

const delay = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// --- what is there --------------------------------------------------------------------------

async function loadAll() {
  const [conversations, characters, models] = await Promise.all([
    data(supabase.from("conversations").select("*").order("updated_at", { ascending: false }).limit(200)),
    data(
      supabase
        .from("characters")
        .select("id, name, description, first_message, alternate_greetings, age, content_rating")
        // Admins see everybody's, and still may only meet these.
        .or(`is_public.eq.true,user_id.eq.${state.me.id}`)
        .order("name")
        .limit(500),
    ),
    data(
      supabase
        .from("api_models")
        .select("id, model_key, display_name, description, is_default, api_providers(is_active)")
        .match({ task: "roleplay", is_active: true })
        .order("priority"),
    ),
    loadHealth(),
  ]);
  set({ conversations, characters, models });
}

export async function loadHealth() {
  const row = await data(supabase.from("system_config").select("config").maybeSingle());
  set({ health: row?.config.workerHealthCache?.chatWorker ?? null });
}

async function loadMessages() {
  const id = state.conversation?.id;
  if (!id) return;
  const [messages, turns] = await Promise.all([
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
  set({ messages: messages.reverse(), answers });
}

export const showEarlier = () => {
  state.shown += MESSAGES;
  return loadMessages();
};

/** The course of the conversation: [{message, versions}] in order. */
export function course() {
  const places = new Map();
  for (const message of state.messages) {
    const place = places.get(message.position) ?? { versions: [] };
    place.versions.push(message);
    if (message.is_active) place.message = message;
    places.set(message.position, place);
  }
  return [...places.values()].filter(({ message }) => message);
}

export const characterOf = (id) => state.characters.find((character) => character.id === id);

// --- conversations --------------------------------------------------------------------------

export async function open(conversation) {
  state.turn?.abort();
  set({
    conversation,
    messages: [],
    answers: new Map(),
    shown: MESSAGES,
    trouble: null,
    notice: "",
    editing: null,
    memory: null,
    menu: false,
    tier: localStorage.getItem(`tier:${conversation.id}`) ?? "sfw",
  });
  history.replaceState(null, "", `#${conversation.id}`);
  await settled(conversation.id);
  await loadMessages();
}

export async function talkWith(character) {
  const row = { user_id: state.me.id, character_id: character.id };
  const conversation = await data(supabase.from("conversations").insert(row).select().single());
  state.conversations.unshift(conversation);
  await open(conversation);
  document.getElementById("message")?.focus();
}

export async function changeConversation(changes) {
  const { id } = state.conversation;
  const row = await data(supabase.from("conversations").update(changes).eq("id", id).select().single());
  const conversations = state.conversations.map((each) => (each.id === id ? row : each));
  set({ conversation: row, conversations });
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
    conversations: state.conversations.filter((each) => each.id !== id),
  });
}

/** Waits until no turn runs in the conversation, some seconds at most. */
async function settled(id) {
  for (let tries = 0; tries < 20; tries += 1) {
    const running = await data(
      supabase.from("turns").select("id").match({ conversation_id: id, status: "running" }).limit(1),
    );
    if (!running.length) return;
    await delay(500);
  }
}

// --- turns ----------------------------------------------------------------------------------

/** Ask for a reply. `fields` are those of the request, `at` what is written anew or carried on. */
export function take(fields, at = null) {
  const { id, character_id } = state.conversation;
  return run(
    {
      conversation_id: id,
      ...(fields.kickoff ? { character_id } : {}),
      ...(state.model ? { model_provider: state.model } : {}),
      memory_tier: state.reach,
      content_tier: state.tier,
      // The person's own Stop has to reach the model; what was said until then is kept.
      on_disconnect: "stop",
      client_message_id: crypto.randomUUID(),
      ...fields,
    },
    at,
  );
}

/** Send a request, again if need be: with the same client_message_id it is answered once. */
export async function run(body, at = null) {
  if (state.turn) return;
  const stop = new AbortController();
  let stopped = false;
  const current = {
    body,
    at,
    text: "",
    note: "",
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
    if (stopped) set({ said: "Stopped. What was written is kept." });
  } catch (error) {
    failure ??= error;
  }
  set({ turn: null });
  if (failure) giveBack(failure, body);
}

async function heard(current, signal) {
  for (let tries = 1; ; tries += 1) {
    try {
      current.text = "";
      for await (const { event, data: said } of turn(current.body, signal)) {
        if (event === "delta") current.text += said.text;
        if (event === "start") Object.assign(current, { note: "", model: said.model_used });
        if (event === "start" && said.notice) set({ notice: said.notice, said: said.notice });
        if (event === "error") throw new Refused(said.error, said.code);
        if (event === "done") finished(current, said);
        redraw();
      }
      return;
    } catch (error) {
      const again = error instanceof Dropped || (tries > 1 && error.code === "turn_in_progress");
      if (!again || tries === TRIES || signal.aborted) throw error;
      current.note = "The connection broke. Fetching the reply …";
      redraw();
      await delay(Math.max(1000 * 2 ** (tries - 1), error.seconds * 1000));
    }
  }
}

function finished(current, answer) {
  if (current.body.action === "impersonate") state.draft = answer.response;
  const lines = [answer.notice];
  if (!answer.saved) lines.push("This reply could not be saved. Copy it if you want to keep it.");
  if (current.body.content_tier === "nsfw" && answer.content_tier === "sfw") {
    lines.push("Written for a general audience: the conversation is not open to adult content.");
  }
  set({ notice: lines.filter(Boolean).join(" "), said: answer.response });
}

/** After a failure: what the person wrote is theirs again, unless it was saved. */
function giveBack(error, body) {
  const sent = (body.action ?? "send") === "send" && body.message;
  const last = course().at(-1)?.message;
  const saved = last?.sender === "user" && last.content === body.message;
  if (sent && !saved && !state.draft && error.code !== "reply_incomplete") state.draft = body.message;
  tell(error, body);
}

export function send(message) {
  if (!message.trim() || state.turn) return;
  state.draft = "";
  return take({ message });
}

/** The same request once more. */
export function tryAgain() {
  const { body } = state.trouble;
  if (state.draft === body.message) state.draft = "";
  const last = course().at(-1)?.message;
  // What was said stays said: only its reply is asked for.
  if (body.message && last?.sender === "user" && last.content === body.message) {
    return take({ action: "regenerate" });
  }
  return run({ ...body, ...(state.model ? { model_provider: state.model } : {}) });
}

// --- actions on messages --------------------------------------------------------------------

export async function choose(message) {
  await ask({ action: "choose", message_id: message.id });
  await loadMessages();
}

export async function edit(message, text, anew) {
  await ask({ action: "edit", message_id: message.id, message: text });
  set({ editing: null });
  await loadMessages();
  if (!anew) return;
  const after = course().find((place) => place.message.position > message.position);
  const reply = after?.message.sender === "character" ? after.message : null;
  await take({ action: "regenerate", ...(reply ? { message_id: reply.id } : {}) }, reply);
}

export async function remove(message, onwards) {
  await ask({ action: "delete", message_id: message.id, onwards });
  set({ dialog: null, said: "Deleted." });
  await loadMessages();
}

export async function branch(message) {
  const id = crypto.randomUUID();
  const { conversation_id } = await ask({ action: "branch", message_id: message.id, client_message_id: id });
  await loadAll();
  await open(state.conversations.find((each) => each.id === conversation_id));
  set({ notice: "This is a branch: what was said before is here too, the first conversation stays as it was." });
}

// --- characters -----------------------------------------------------------------------------

export async function importCard(file) {
  const url = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(new Refused("The file cannot be read. Choose it again."));
    reader.readAsDataURL(file);
  });
  const card = await ask({ action: "import_card", card_base64: url.slice(url.indexOf(",") + 1) });
  await loadAll();
  set({ dialog: { name: "imported", card }, said: `${card.name} was imported.` });
}

// --- memory ---------------------------------------------------------------------------------

export async function showMemory() {
  const { id, character_id } = state.conversation;
  const reach = [`conversation_id.eq.${id}`, "tier.eq.profile"];
  if (character_id) reach.push(`character_id.eq.${character_id}`);
  const [summary, facts] = await Promise.all([
    data(supabase.from("conversation_summaries").select("content").eq("conversation_id", id).maybeSingle()),
    data(
      supabase
        .from("memory_facts")
        .select("id, content, pinned, written_by, memories!inner(tier)")
        .or(reach.join(","), { referencedTable: "memories" })
        .order("pinned", { ascending: false })
        .order("created_at"),
    ),
  ]);
  set({ memory: { summary: summary?.content ?? "", facts }, dialog: { name: "memory" } });
}

export async function addFact(content, tier) {
  const { id, character_id } = state.conversation;
  const whose = {
    user_id: state.me.id,
    tier,
    conversation_id: tier === "conversation" ? id : null,
    character_id: tier === "character" ? character_id : null,
  };
  let query = supabase.from("memories").select("id").eq("tier", tier);
  if (whose.conversation_id) query = query.eq("conversation_id", id);
  if (whose.character_id) query = query.eq("character_id", character_id);
  const memory =
    (await data(query.maybeSingle())) ??
    (await data(supabase.from("memories").insert(whose).select("id").single()));
  await data(supabase.from("memory_facts").insert({ memory_id: memory.id, content }));
  await showMemory();
}

export async function pinFact(fact) {
  await data(supabase.from("memory_facts").update({ pinned: !fact.pinned }).eq("id", fact.id));
  await showMemory();
}

export async function forgetFact(fact) {
  await data(supabase.from("memory_facts").delete().eq("id", fact.id));
  await showMemory();
}

export async function forgetSummary() {
  const { id } = state.conversation;
  await data(supabase.from("conversation_summaries").delete().eq("conversation_id", id));
  await showMemory();
}

// --- settings -------------------------------------------------------------------------------

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

// --- the page -------------------------------------------------------------------------------

onUser(
  doing(async (user) => {
    set({ ready: true, me: null, conversation: null, messages: [], draft: "", trouble: null });
    if (!user) return;
    set({ ready: false });
    state.me = await whoAmI(user);
    await loadAll();
    set({ ready: true });
    const wanted = location.hash.slice(1);
    const conversation = state.conversations.find(({ id }) => id === wanted) ?? state.conversations[0];
    if (conversation) await open(conversation);
  }),
);

setInterval(() => {
  if (state.me && document.visibilityState === "visible") loadHealth().catch(() => {});
}, 15_000);

addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && state.me) doing(() => importCard(file))();
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || state.dialog) return;
  if (state.menu) set({ menu: false });
  else state.turn?.stop();
});
redraw();
