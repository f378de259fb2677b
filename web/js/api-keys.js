// API keys, for other programs: the dialog in which a person makes, copies and revokes them.

import { html, nothing } from "lit-html";
import { config } from "../config.js";
import { UserError, data, supabase } from "./backend.js";
import { copy } from "./copying.js";
import { dateFormat, t } from "./language.js";
import { changeDialog, doing, openDialog, openWhenLoaded, set, submitting, watchDialog } from "./page.js";
import { modal } from "./parts.js";

const DAYS = 90;
const day = dateFormat({ dateStyle: "medium" });
const address = () => `${config.functionsUrl || location.origin}/roleplay_chat/v1`;

/** Opens the dialog with the person's keys. */
export const showApiKeys = () =>
  openWhenLoaded("api-keys", async () => ({ keys: await loadKeys(), made: null, revoking: null }));

const loadKeys = () => data(supabase.from("api_keys").select().order("created_at"));

/** Makes a key. `keys`: those that are listed. */
async function make(form, keys) {
  const name = form.elements.name.value.trim();
  if (!name) throw new UserError(t("Enter a name."), "", 0, "name");
  const days = form.elements.days.value;
  const made = await data(supabase.rpc("create_api_key", { p_name: name, p_days: days ? Number(days) : null }));
  form.reset();
  // At once, whatever the person does meanwhile: the key is shown only this once.
  openDialog("api-keys", { keys, made, revoking: null });
  const isStill = watchDialog();
  const now = await loadKeys();
  if (isStill()) changeDialog({ keys: now });
}

async function revoke({ id }) {
  const isStill = watchDialog();
  await data(supabase.rpc("revoke_api_key", { p_id: id }));
  if (isStill()) await showApiKeys();
  set({ said: t("The key was revoked.") });
}

const ask = (revoking) => changeDialog({ revoking });

const newKey = ({ key }) => html`
  <section class="notice" role="status">
    <p>${t("Copy the key now. It is not shown again.")}</p>
    <p><code class="key" tabindex="0" aria-label=${t("The new key")}>${key}</code></p>
    <button class="primary" @click=${doing(() => copy(key, t("The key was copied.")))}>${t("Copy the key")}</button>
  </section>`;

const since = ({ expires_at, last_used_at }) =>
  [
    last_used_at ? t("Last used {day}", { day: day.format(new Date(last_used_at)) }) : t("Never used"),
    !expires_at
      ? t("valid until revoked")
      : new Date(expires_at) < new Date()
        ? t("expired")
        : t("valid until {day}", { day: day.format(new Date(expires_at)) }),
  ].join(", ");

const row = (key, dialog) => html`
  <li>
    <div>
      <strong dir="auto">${key.name}</strong> <code>${key.prefix}…</code>
      <p class="quiet">${since(key)}</p>
    </div>
    ${dialog.revoking === key.id
      ? html`<div class="choices">
          <button class="danger" @click=${doing(() => revoke(key))}>${t("Revoke for good")}</button>
          <button @click=${() => ask(null)}>${t("Keep it")}</button>
        </div>`
      : html`<button aria-label=${t("Revoke {name}", { name: key.name })} @click=${() => ask(key.id)}>${t("Revoke")}</button>`}
  </li>`;

export const apiKeys = (state) => {
  const { keys, made } = state.dialog;
  return modal(t("API keys"), html`
    <p>${t("Other programs that know OpenAI's API can talk with your characters: give them this address and a key.")}</p>
    <p><code>${address()}</code></p>
    ${made ? newKey(made) : nothing}
    ${keys.length ? html`<ul class="keys">${keys.map((key) => row(key, state.dialog))}</ul>` : nothing}
    <form class="add" @submit=${submitting((event) => make(event.target, keys))}>
      <label>${t("Name of the program")}
        <input name="name" maxlength="80" dir="auto" required autocomplete="off" /></label>
      <label>${t("Valid for")}
        <select name="days">
          <option value="30">${t("30 days")}</option>
          <option value=${DAYS} selected>${t("90 days")}</option>
          <option value="365">${t("One year")}</option>
          <option value="">${t("Until revoked")}</option>
        </select></label>
      <button>${t("Make a key")}</button>
    </form>`, state);
};
