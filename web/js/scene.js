// The scene of a conversation, which goes along with each request. It is kept on this device, as drafts are.

import { sceneKey } from "./draft-keys.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { state } from "./state.js";

/** What a scene may say, by the names of the request: the longest text, in characters. */
export const SCENE = { scene_name: 200, scene_description: 8000, scene_context: 8000, user_role: 8000 };

const key = () => sceneKey(state.me.id, state.conversation.id);

/** The scene of the open conversation, as fields of a request; {} without one. */
export function sceneFields() {
  try {
    const kept = JSON.parse(localStorage.getItem(key())) ?? {};
    const isText = ([name, text]) => Object.hasOwn(SCENE, name) && typeof text === "string" && text;
    return Object.fromEntries(Object.entries(kept).filter(isText));
  } catch {
    return {};
  }
}

/** Changes one text of the scene; "" removes it. */
export function changeScene(name, text) {
  const scene = { ...sceneFields(), [name]: text };
  if (Object.values(scene).some(Boolean)) localStorage.setItem(key(), JSON.stringify(scene));
  else localStorage.removeItem(key());
  set({ said: t("Saved.") });
}
