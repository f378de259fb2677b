// The chat's entry point: draws it and listens to sign-in, the connection, dropped files and keys.

import { page } from "./chat-views.js";
import { findConversation, importFile, loadAll, loadModels, open } from "./conversations.js";
import { listen } from "./elsewhere.js";
import { doing, set, show } from "./page.js";
import { keepPlace } from "./scrolling.js";
import { onUser, whoAmI } from "./session.js";
import { state } from "./state.js";
import { stop, tryAgain } from "./turns.js";

const MODELS_MS = 15_000;
const ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

show(state, page, keepPlace);

onUser(
  doing(async (user) => {
    for (const turn of state.running.values()) turn.abort();
    state.running.clear();
    listen(user?.id ?? null);
    set({ ready: !user, me: null, conversation: null, messages: [], others: [], draft: "", replaced: null, trouble: null, dialog: null });
    if (!user) return;
    state.me = await whoAmI(user);
    await loadAll();
    set({ ready: true });
    const wanted = location.hash.slice(1);
    const conversation = (ID.test(wanted) && (await findConversation(wanted))) || state.conversations[0];
    if (conversation) await open(conversation);
  }),
);

setInterval(() => {
  if (state.me && document.visibilityState === "visible") loadModels().catch(() => {});
}, MODELS_MS);

addEventListener("online", () => {
  if (state.trouble?.code === "dropped" && state.trouble.body) doing(tryAgain)();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && state.me) doing(() => importFile(file))();
});
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || state.dialog) return;
  if (state.menu) set({ menu: false });
  else doing(stop)();
});
