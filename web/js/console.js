// The console's entry point: draws it, and loads its data when an admin signs in and every half minute.

import { load, state } from "./console-data.js";
import { page } from "./console-views.js";
import { doing, set, show } from "./page.js";
import { onUser, whoAmI } from "./session.js";

show(state, page);

onUser(
  doing(async (user) => {
    set({ ready: false, me: null, dialog: null, trouble: null });
    if (!user) return set({ ready: true });
    const me = await whoAmI(user);
    set({ me, ready: !me.isAdmin });
    if (me.isAdmin) await load();
  }),
);

setInterval(() => {
  if (state.me?.isAdmin && !state.dialog && document.visibilityState === "visible") doing(load)();
}, 30_000);
