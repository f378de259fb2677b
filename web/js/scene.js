// The scene of a conversation, which goes along with each request. It is kept on this device, as drafts are.

import { keptJson, sceneKey } from "./device.js";
import { t } from "./language.js";
import { set } from "./page.js";
import { state } from "./state.js";

/** What a scene may say, by the names of the request: the longest text, in characters. */
export const SCENE = { scene_name: 200, scene_description: 8000, scene_context: 8000, user_role: 8000 };

const keyOf = (id) => sceneKey(state.me.id, id);

/** The scene of a conversation, as fields of a request; {} without one. */
export function sceneFields(id = state.conversation.id) {
  const isText = ([name, text]) => Object.hasOwn(SCENE, name) && typeof text === "string" && text;
  return Object.fromEntries(Object.entries(keptJson(keyOf(id)) ?? {}).filter(isText));
}

/** Changes one text of the scene; "" removes it. */
export function changeScene(id, name, text) {
  const scene = { ...sceneFields(id), [name]: text };
  if (Object.values(scene).some(Boolean)) localStorage.setItem(keyOf(id), JSON.stringify(scene));
  else localStorage.removeItem(keyOf(id));
  set({ said: t("Saved.") });
}
