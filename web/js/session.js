// Signing in, up and out, for both pages.

import { html, nothing } from "../vendor/lit/lit-html.js";
import { data, supabase } from "./backend.js";

const form = { signingUp: false, busy: false, error: "" };

/** The sign-in form; `redraw` is called when it changes. On success, `onUser` is notified. */
export function signInForm(redraw, title) {
  const submit = async (event) => {
    event.preventDefault();
    const { email, password, name } = Object.fromEntries(new FormData(event.target));
    Object.assign(form, { busy: true, error: "" });
    redraw();
    try {
      await (form.signingUp ? signUp(email, password, name.trim()) : signIn(email, password));
    } catch (error) {
      form.error = error.message;
    }
    form.busy = false;
    redraw();
  };
  const other = () => {
    Object.assign(form, { signingUp: !form.signingUp, error: "" });
    redraw();
  };
  return html`
    <main class="welcome">
      <form class="card" @submit=${submit}>
        <img src="icon.svg" alt="" width="44" height="44" />
        <h1>${title}</h1>
        <p class="quiet">
          ${form.signingUp ? "Create an account to save your conversations." : "Sign in to continue."}
        </p>
        ${form.signingUp
          ? html`<label>What characters call you
              <input name="name" autocomplete="nickname" maxlength="80" dir="auto" required />
            </label>`
          : nothing}
        <label>Email <input name="email" type="email" autocomplete="email" required /></label>
        <label>Password
          <input name="password" type="password" minlength="8" required
            autocomplete=${form.signingUp ? "new-password" : "current-password"} />
        </label>
        ${form.error ? html`<p class="error" role="alert">${form.error}</p>` : nothing}
        <button class="primary" ?disabled=${form.busy}>
          ${form.signingUp ? "Create the account" : "Sign in"}
        </button>
        <button type="button" class="link" @click=${other}>
          ${form.signingUp ? "I have an account" : "Create an account"}
        </button>
      </form>
    </main>
  `;
}

async function signIn(email, password) {
  await data(supabase.auth.signInWithPassword({ email, password }));
}

async function signUp(email, password, name) {
  // With the name, because where emails are confirmed there is no session yet to write it with.
  const options = { data: { display_name: name } };
  const { session } = await data(supabase.auth.signUp({ email, password, options }));
  if (!session) throw new Error("Almost there: open the link in the email we sent, then sign in.");
}

/** The signed-in person: {id, email, name, ageVerified, isAdmin}. */
export async function whoAmI(user) {
  const [profile, roles] = await Promise.all([
    // Not by name: the profiles of an existing product have no display_name.
    data(supabase.from("profiles").select("*").eq("id", user.id).maybeSingle()),
    data(supabase.from("user_roles").select("role").eq("user_id", user.id)),
  ]);
  return {
    id: user.id,
    email: user.email,
    // An existing product's profiles have no such name; what was given at the sign-up is in the account.
    name: profile?.display_name ?? givenName(user) ?? user.email,
    ageVerified: profile?.age_verified === true,
    isAdmin: roles.some(({ role }) => role === "admin"),
  };
}

function givenName({ user_metadata }) {
  const name = user_metadata?.display_name;
  return typeof name === "string" && name.trim() ? name.trim().slice(0, 80) : null;
}

/** Calls back with the user or null, now and whenever another user signs in or out. */
export function onUser(callback) {
  let known;
  supabase.auth.onAuthStateChange((_, session) => {
    const id = session?.user.id ?? null;
    if (id === known) return;
    known = id;
    // Later, because the client is locked during its own callback.
    setTimeout(() => callback(session?.user ?? null));
  });
}

export const signOut = () => supabase.auth.signOut({ scope: "local" });
