// Loads the models and workers of the chat.

import { data, supabase } from "./backend.js";
import { legible } from "./legible.js";
import { set } from "./page.js";

/** Loads who can answer now: models and workers, their cooldowns, and the workers' health. */
export async function loadModels() {
  const [models, cooldowns, rows] = await Promise.all([
    data(
      supabase
        .from("api_models")
        .select("id, model_key, display_name, is_default, capabilities, catalog_status, api_providers(is_active)")
        .match({ task: "roleplay", is_active: true })
        .order("priority")
        .order("model_key"),
    ),
    data(supabase.from("models_on_cooldown").select("model_id, worker, until")),
    data(supabase.from("chat_worker_health").select("name, display_name, is_healthy, checked_at, response_ms").order("name")),
  ]);
  const workers = rows.map((row) => ({
    name: row.name,
    display_name: legible(row.display_name),
    health: { isHealthy: row.is_healthy, lastChecked: row.checked_at, responseTimeMs: row.response_ms },
  }));
  set({ models, cooldowns, workers });
}
