// A person's own account: name, email and password, and the way back in without the password.

import { html, nothing } from "lit-html";
import { accountSections } from "./account-sections.js";
import { showApiKeys } from "./api-keys.js";
import { UserError, data, supabase } from "./backend.js";
import { loadBlocked } from "./catalogue.js";
import { t } from "./language.js";
import { changeDialog, doing, openDialog, set, submitting, watchDialog } from "./page.js";
import { loadLimits } from "./own-limits.js";
import { modal } from "./parts.js";
import { state } from "./state.js";

/** Opens the account; `done`: a sentence above the forms. Remaining limits and blocked authors are loaded afterwards. */
export async function showAccount(done = "") {
  openDialog("account", { done });
  await Promise.all([loadLimits(), loadBlocked()]);
}

/** Carries out a change, and says so: in the dialog if it is still open. */
async function change(action) {
  const isStill = watchDialog();
  const done = await action();
  if (!isStill()) return set({ said: done });
  changeDialog({ done });
  set({ trouble: null });
}

async function changeName(name) {
  if (!name) throw new UserError(t("Enter a name."), "", 0, "name");
  await data(supabase.auth.updateUser({ data: { display_name: name } }));
  await data(supabase.from("account").update({ display_name: name }).eq("id", state.me.id));
  if (state.me) set({ me: { ...state.me, name } });
  return t("Your name was changed.");
}

async function changeEmail(email) {
  const { user } = await data(supabase.auth.updateUser({ email }, { emailRedirectTo: location.origin + location.pathname }));
  if (user.email !== email) return t("Open the links in the emails we sent to confirm the new address.");
  if (state.me) set({ me: { ...state.me, email } });
  return t("Your email was changed.");
}

async function changePassword(password) {
  await data(supabase.auth.updateUser({ password }));
  return t("Your password was changed.");
}

const form = (title, field, save) => html`
  <section>
    <form class="add" @submit=${submitting((event) => change(() => save(event.target.elements[0].value)))}>
      ${field}
      <button>${title}</button>
    </form>
  </section>`;

export const account = (state) => modal(t("Your account"), html`
  ${state.dialog.done ? html`<p class="notice" role="status">${state.dialog.done}</p>` : nothing}
  ${form(t("Change the name"), html`<label>${t("What characters call you")}
    <input name="name" autocomplete="nickname" maxlength="80" dir="auto" required .value=${state.me.name} /></label>`, (name) => changeName(name.trim()))}
  ${form(t("Change the email"), html`<label>${t("Email")}
    <input name="email" type="email" autocomplete="email" required .value=${state.me.email} /></label>`, changeEmail)}
  ${form(t("Change the password"), html`<label>${t("New password")}
    <input name="password" type="password" autocomplete="new-password" minlength="8" required /></label>`, changePassword)}
  <section><button @click=${doing(() => showApiKeys())}>${t("API keys")}</button></section>
  ${accountSections(state)}`, state);
