// Loads what the prompt of a reply was made of.

import { data, supabase } from "./backend.js";
import { explained } from "./composition.js";
import { t } from "./language.js";
import { characterName, state } from "./state.js";
import { openAbout } from "./whereabouts.js";

/** Opens a dialog that says why a reply was written as it was. */
export function showWhy(message) {
  const { conversation } = state;
  return openAbout("why", async () => ({ why: await readWhy(message, conversation) }));
}

/** What a reply was made of; null if that is not known any more. */
async function readWhy(message, conversation) {
  const turn = await data(
    supabase
      .from("turns")
      .select("created_at, character_id, turn_prompts(composition)")
      .eq("reply_message_id", message.id)
      .order("created_at", { ascending: false })
      .limit(1)
      .maybeSingle(),
  );
  const composition = turn?.turn_prompts?.composition;
  if (!composition) return null;
  const { facts, left_out, recalled } = composition;
  const [factRows, messages, character, books] = await Promise.all([
    data(supabase.from("memory_facts").select("id, content").in("id", [...facts, ...recalled.facts, ...left_out.facts])),
    data(
      supabase
        .from("messages")
        .select("position, sender, character_id, content")
        .match({ conversation_id: conversation.id, is_active: true })
        .in("position", recalled.messages),
    ),
    // A turn whose character was deleted names none.
    turn.character_id && data(supabase.from("characters").select("character_book, updated_at").eq("id", turn.character_id).maybeSingle()),
    otherBooks(composition),
  ]);
  const said = messages.map((message) => ({ ...message, who: author(message, conversation) }));
  const why = explained(composition, {
    facts: factRows, messages: said, book: character?.character_book,
    books: Object.fromEntries(books.map(({ id, content }) => [id, content])),
  });
  const changed = [character, ...books].some((row) => row && new Date(row.updated_at) > new Date(turn.created_at));
  return { ...why, changed };
}

/** The books beside the character's that a composition names: {id, content, updated_at}. */
async function otherBooks({ entries, left_out }) {
  const ids = new Set([...entries, ...left_out.entries].flatMap(({ book }) => book ?? []));
  return ids.size ? await data(supabase.from("lorebooks").select("id, content, updated_at").in("id", [...ids])) : [];
}

const author = ({ sender, character_id }, conversation) =>
  sender === "user" ? t("You") : characterName(character_id ?? conversation.character_id);
