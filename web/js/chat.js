// The chat's entry point: draws it and listens to sign-in, the connection, dropped files and keys.

import { page } from "./chat-views.js";
import { importFile, loadAll, loadModels, open } from "./conversations.js";
import { doing, set, show } from "./page.js";
import { onUser, whoAmI } from "./session.js";
import { state } from "./state.js";
import { tryAgain } from "./turns.js";

const MODELS_MS = 15_000;
let owner = null; // id of the person who wrote the draft

show(state, page, (draw) => {
  const isAtEnd = (column) => column.scrollHeight - column.scrollTop - column.clientHeight < 80;
  const before = document.querySelector(".column");
  const follow = !before || isAtEnd(before);
  draw();
  const after = document.querySelector(".column");
  if (after && follow) after.scrollTop = after.scrollHeight;
});

onUser(
  doing(async (user) => {
    state.turn?.abort();
    set({ ready: !user, me: null, conversation: null, messages: [], turn: null, trouble: null, dialog: null });
    if (!user) return;
    if (user.id !== owner) state.draft = "";
    owner = user.id;
    state.me = await whoAmI(user);
    await loadAll();
    set({ ready: true });
    const wanted = location.hash.slice(1);
    const conversation = state.conversations.find(({ id }) => id === wanted) ?? state.conversations[0];
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
  else state.turn?.stop();
});
