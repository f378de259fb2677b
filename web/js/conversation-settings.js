// Loads and saves the settings of a conversation: the author's note, sampler settings, and choices of this device.

import { data, supabase } from "./backend.js";
import { t } from "./language.js";
import { changeDialog, set } from "./page.js";
import { state } from "./state.js";
import { openAbout } from "./whereabouts.js";

const NONE = { note: "", note_depth: 4, note_role: "system", sampling: {} };

/** Opens the settings of the open conversation. */
export const showSettings = () => openAbout("settings", () => loadSettings(state.conversation.id));

async function loadSettings(id) {
  const rows = await data(
    supabase.from("conversation_settings").select("note, note_depth, note_role, sampling").eq("conversation_id", id),
  );
  return { kept: rows[0] ?? NONE };
}

let saved = Promise.resolve(); // settles with the last change that was asked for

/** Saves the changed settings of a conversation alone, after those that are on their way: what somebody chose last holds. */
export async function keepSettings(conversation_id, changes) {
  const { dialog } = state;
  if (isAbout(conversation_id)) changeDialog({ kept: { ...dialog.kept, ...changes } });
  const save = () => data(supabase.from("conversation_settings").upsert({ conversation_id, ...changes }));
  saved = saved.then(save, save);
  await saved;
  set({ said: t("Saved.") });
}

/** Saves one sampler setting. `sampling`: those that are shown. */
export function keepSampling(conversation_id, sampling, name, value) {
  const now = isAbout(conversation_id) ? state.dialog.kept.sampling : sampling;
  return keepSettings(conversation_id, { sampling: { ...now, [name]: value } });
}

const isAbout = (id) => state.dialog?.name === "settings" && state.dialog.of === id;

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
