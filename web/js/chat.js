// The chat's entry point: draws it and listens to sign-in, the connection, dropped files and keys.

import { showAccount } from "./account.js";
import { addressed, windowTitle } from "./address.js";
import { page } from "./chat-views.js";
import { newest } from "./conversation-list.js";
import { findConversation, followAddress, leave, loadAll, open } from "./conversations.js";
import "./copying.js";
import { redeem } from "./email-links.js";
import { listen } from "./elsewhere.js";
import { importFile } from "./imports.js";
import { stopDownload } from "./own-data.js";
import { loadLimits } from "./own-limits.js";
import { t } from "./language.js";
import { closePanel, isMenuOpen } from "./menus.js";
import { loadModels } from "./models.js";
import { doing, set, show, tell } from "./page.js";
import { keepPlace } from "./scrolling.js";
import { onUser, refuse, whoAmI } from "./session.js";
import { press } from "./shortcuts.js";
import { state } from "./state.js";
import { stop, tryAgain } from "./turns.js";
import { whereabouts } from "./whereabouts.js";

const MODELS_MS = 15_000;

show(state, page, (draw) => {
  keepPlace(draw);
  document.title = windowTitle(state);
});

// First, so that a link in an email signs in the person who follows it.
let link = await redeem().then((isForPassword) => ({ isForPassword }), (error) => ({ error }));

onUser(
  doing(async (user, isStill) => {
    for (const turn of state.running.values()) turn.abort();
    state.running.clear();
    stopDownload();
    listen(user?.id ?? null);
    set({ ready: !user, me: null, conversations: [], conversation: null, messages: [], others: [], draft: "", replaced: null });
    set({ trouble: null, dialog: null, notice: "", undo: null, menu: false, tools: false, menuOf: null, limits: null, blocked: null, search: { query: "", results: null, next: null } });
    const { isForPassword, error } = link;
    link = {};
    if (error && !user) refuse(error);
    if (!user) return;
    const me = await whoAmI(user);
    if (!isStill()) return;
    state.me = me;
    await loadAll();
    if (!isStill()) return;
    set({ ready: true });
    loadLimits();
    const isHere = whereabouts();
    const wanted = addressed();
    const found = (wanted && (await findConversation(wanted))) || null;
    const isGone = wanted && !found;
    const last = isGone ? null : newest();
    const conversation = found ?? (last ? await findConversation(last.id) : null);
    if (!isStill()) return;
    // Unless the person chose another one meanwhile.
    if (conversation && isHere()) await open(conversation, true);
    if (isGone && isHere()) leave(t("This conversation was deleted."));
    if (error) tell(error);
    if (isForPassword) await showAccount(t("Choose a new password below."));
  }),
);

setInterval(() => {
  if (state.me && document.visibilityState === "visible") loadModels().catch(() => {});
}, MODELS_MS);

addEventListener(
  "popstate",
  doing(() => state.me && state.ready && followAddress()),
);
addEventListener("online", () => {
  const { code, body } = state.trouble ?? {};
  // The person sends their own text themselves.
  const isCurrent = !body?.message || state.draft === body.message;
  if (code === "dropped" && body && isCurrent) doing(tryAgain)();
});
addEventListener("dragover", (event) => event.preventDefault());
addEventListener("drop", (event) => {
  event.preventDefault();
  const [file] = event.dataTransfer.files;
  if (file && state.me) doing(() => importFile(file))();
});
addEventListener("keydown", press);
addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing || state.dialog || isMenuOpen()) return;
  if (state.menu || state.tools) closePanel();
  else doing(stop)();
});
