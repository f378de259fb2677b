// Notices what happens in other tabs and on other devices.
//
// Other tabs tell at once. Other devices are told of by Supabase's realtime where the installation has
// it: each turn of the person is a change of a row. Otherwise the page looks when it gets the focus.

import { config } from "../config.js";
import { supabase } from "./backend.js";
import { refresh } from "./conversations.js";
import { state } from "./state.js";
import { onAnnounced } from "./tabs.js";

let looking = false;
let again = false;
let channel = null;

/** Looks once at a time, and once more if something happened meanwhile. */
async function look() {
  if (!state.me || !state.ready) return;
  again = looking;
  if (looking) return;
  looking = true;
  try {
    await refresh();
  } catch {
    // The next check may succeed. The person's own actions show what is wrong.
  }
  looking = false;
  if (again) look();
}

/** Our own turns are shown as they come. */
const isOurs = (conversation_id) => state.running.has(conversation_id);

/** Subscribes to the changes of a person's turns. Ends the previous subscription. */
export async function listen(user_id) {
  const before = channel;
  channel = null;
  if (before) await supabase.removeChannel(before);
  if (!config.realtime || !user_id) return;
  const changes = { event: "*", schema: "public", table: "turns", filter: `user_id=eq.${user_id}` };
  channel = supabase
    .channel(`turns of ${user_id}`)
    .on("postgres_changes", changes, ({ new: row }) => isOurs(row.conversation_id) || look())
    // What happened while the connection was lost is in no change.
    .subscribe((status) => status === "SUBSCRIBED" && look());
}

onAnnounced((conversation_id) => isOurs(conversation_id) || look());
addEventListener("focus", look);
addEventListener("online", look);
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && look());
