// Signing in, up and out, for both pages.

import { html, nothing } from "lit-html";
import { config } from "../config.js";
import { data, supabase } from "./backend.js";
import { forgetDraftsOf } from "./device.js";
import { sendRecovery } from "./email-links.js";
import { t } from "./language.js";

const form = { mode: "in", busy: false, error: "", sent: false, note: "" };

const MODES = {
  in: { hint: t("Sign in to continue."), action: t("Sign in"), send: signIn },
  up: { hint: t("Create an account to save your conversations."), action: t("Create the account"), send: ({ email, password, name }) => signUp(email, password, name.trim()) },
  forgotten: { hint: t("We will send you a link to choose a new password. Open it in this browser."), action: t("Send the link"), send: recover },
};

/** The sign-in form; `redraw` is called when it changes. On success, `onUser` is notified. */
export function signInForm(redraw, title, introduction = nothing) {
  const mode = MODES[form.mode];
  const enter = async (send, values) => {
    Object.assign(form, { busy: true, error: "", sent: false, note: "" });
    redraw();
    try {
      await send(values);
    } catch (error) {
      form.error = error.message;
    }
    form.busy = false;
    redraw();
  };
  const submit = (event) => {
    event.preventDefault();
    return enter(mode.send, Object.fromEntries(new FormData(event.target)));
  };
  const demo = () => enter(signIn, { email: config.demoEmail, password: config.demoPassword });
  const turnTo = (name) => () => {
    Object.assign(form, { mode: name, error: "", sent: false });
    redraw();
  };
  return html`
    <main class="welcome">
      <form class="card" @submit=${submit}>
        <img src="icon.svg" alt="" width="44" height="44" />
        <h1>${title}</h1>
        ${introduction}
        <p class="quiet">${mode.hint}</p>
        ${form.mode === "up"
          ? html`<label>${t("What characters call you")}
              <input name="name" autocomplete="nickname" maxlength="80" dir="auto" required />
            </label>`
          : nothing}
        <label>${t("Email")} <input name="email" type="email" autocomplete="email" required /></label>
        ${form.mode === "forgotten"
          ? nothing
          : html`<label>${t("Password")}
              <input name="password" type="password" minlength="8" required
                autocomplete=${form.mode === "up" ? "new-password" : "current-password"} />
            </label>`}
        ${form.note ? html`<p class="notice" role="status">${form.note}</p>` : nothing}
        ${form.sent ? html`<p class="notice" role="status">${t("If there is an account with this email, a link is on its way.")}</p>` : nothing}
        ${form.error ? html`<p class="error" role="alert">${form.error}</p>` : nothing}
        <button class="primary" ?disabled=${form.busy}>
          ${mode.action}
        </button>
        ${form.mode === "in"
          ? html`<button type="button" class="link" @click=${turnTo("forgotten")}>${t("Forgotten your password?")}</button>
              <button type="button" class="link" @click=${turnTo("up")}>${t("Create an account")}</button>`
          : html`<button type="button" class="link" @click=${turnTo("in")}>${t("I have an account")}</button>`}
        ${config.demoEmail
          ? html`<button type="button" class="link" @click=${demo}>${t("Use the demo account")}</button>`
          : nothing}
      </form>
    </main>
  `;
}

async function signIn({ email, password }) {
  await data(supabase.auth.signInWithPassword({ email, password }));
}

async function recover({ email }) {
  await sendRecovery(email);
  form.sent = true;
}

/** Says something on the form that is drawn next, after the person was signed out. */
export const takeLeave = (note) => Object.assign(form, { note });

/** Shows an error on the form that is drawn next. */
export const refuse = (error) => Object.assign(form, { error: error.message });

async function signUp(email, password, name) {
  // With the name, because where emails are confirmed there is no session yet to write it with.
  const options = { data: { display_name: name } };
  const { session } = await data(supabase.auth.signUp({ email, password, options }));
  if (!session) throw new Error(t("Almost there: open the link in the email we sent, then sign in."));
}

/** The signed-in person: {id, email, name, ageVerified, isAdmin}. */
export async function whoAmI(user) {
  const row = await data(supabase.from("account").select("display_name, age_verified, is_admin").maybeSingle());
  return {
    id: user.id,
    email: user.email,
    // Until there is a profile, what was given at the sign-up is in the account.
    name: row?.display_name ?? givenName(user) ?? user.email,
    ageVerified: row?.age_verified === true,
    isAdmin: row?.is_admin === true,
  };
}

function givenName({ user_metadata }) {
  const name = user_metadata?.display_name;
  return typeof name === "string" && name.trim() ? name.trim().slice(0, 80) : null;
}

/**
 * Calls back with the user or null, now and whenever another user signs in or out, and with a function that says
 * whether they are still the one: what is loaded for somebody who left comes too late. When somebody else signs in,
 * the page is loaded again: nothing that it holds or still waits for reaches them.
 */
export function onUser(callback) {
  let known;
  let first = null; // who signed in here first
  supabase.auth.onAuthStateChange((_, session) => {
    const id = session?.user.id ?? null;
    if (id === known) return;
    known = id;
    if (id && first && id !== first) return startAnew();
    first ??= id;
    // Later, because the client is locked during its own callback.
    setTimeout(() => id === known && callback(session?.user ?? null, () => id === known));
  });
}

function startAnew() {
  history.replaceState(null, "", location.pathname); // Where the other person was.
  location.reload();
}

/** Ends a session that is no longer valid. What the person wrote stays for when they sign in again. */
export const endSession = () => supabase.auth.signOut({ scope: "local" });

/** Signs out; returns {error}. What the person wrote and did not send goes too. */
export async function signOut() {
  const { data } = await supabase.auth.getSession();
  if (data.session) forgetDraftsOf(data.session.user.id);
  return endSession();
}
