// Loads and changes the summary and the facts of a conversation.

import { data, supabase } from "./backend.js";
import { openDialog, set } from "./page.js";
import { listMembers, state } from "./state.js";

export async function showMemory() {
  await loadMemory();
  openDialog("memory");
}

async function loadMemory() {
  const { id } = state.conversation;
  const members = listMembers(state.conversation).map((character) => character.id);
  const reach = [`conversation_id.eq.${id}`, "tier.eq.profile"];
  if (members.length) reach.push(`character_id.in.(${members})`);
  const [summary, facts] = await Promise.all([
    data(supabase.from("conversation_summaries").select("content").eq("conversation_id", id).maybeSingle()),
    data(
      supabase
        .from("memory_facts")
        .select("id, content, pinned, written_by, memories!inner(tier, character_id)")
        .or(reach.join(","), { referencedTable: "memories" })
        .order("pinned", { ascending: false })
        .order("created_at"),
    ),
  ]);
  set({ memory: { summary: summary?.content ?? "", facts } });
}

/** Adds a fact to a memory tier; `character_id` is needed for the tier `character`. */
export async function addFact(content, tier, character_id) {
  const whose = {
    user_id: state.me.id,
    tier,
    conversation_id: tier === "conversation" ? state.conversation.id : null,
    character_id: tier === "character" ? character_id : null,
  };
  let query = supabase.from("memories").select("id").eq("tier", tier);
  if (whose.conversation_id) query = query.eq("conversation_id", whose.conversation_id);
  if (whose.character_id) query = query.eq("character_id", whose.character_id);
  const memory =
    (await data(query.maybeSingle())) ??
    (await data(supabase.from("memories").insert(whose).select("id").single()));
  await data(supabase.from("memory_facts").insert({ memory_id: memory.id, content }));
  set({ said: "The fact was added." });
  await loadMemory();
}

export async function pinFact(fact) {
  await data(supabase.from("memory_facts").update({ pinned: !fact.pinned }).eq("id", fact.id));
  await loadMemory();
}

export async function forgetFact(fact) {
  await data(supabase.from("memory_facts").delete().eq("id", fact.id));
  set({ said: "The fact was deleted." });
  await loadMemory();
}

export async function forgetSummary() {
  await data(supabase.from("conversation_summaries").delete().eq("conversation_id", state.conversation.id));
  set({ said: "The summary was deleted." });
  await loadMemory();
}
