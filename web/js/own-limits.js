// A person's remaining limits and budget.

import { data, supabase } from "./backend.js";
import { set } from "./page.js";
import { state } from "./state.js";

/** Loads the remaining limits. The page also works without them. */
export async function loadLimits() {
  try {
    const limits = await data(supabase.rpc("read_limits"));
    if (state.me) set({ limits });
  } catch {
    // The next turn looks again.
  }
}

/** Looks again after a turn, where anything is limited. */
export async function turnTaken() {
  if (!state.limits || state.limits.limits.length || state.limits.free_only) await loadLimits();
}
