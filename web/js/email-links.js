// The links in Auth's emails: they lead back to this page with a code that signs the person in.

import { UserError, data, supabase } from "./backend.js";
import { t } from "./language.js";

const BROKEN = t("This link is no longer valid, or was opened in another browser. Request a new one where you want to use it.");

/** Sends a link with which a new password can be chosen. */
export const sendRecovery = (email) =>
  data(supabase.auth.resetPasswordForEmail(email, { redirectTo: location.origin + location.pathname }));

/**
 * Signs in with the code of a link, if the address has one, and takes it out of the address. Returns
 * whether it was for a new password. Throws `UserError` if the link is not valid.
 */
export async function redeem() {
  const given = new URLSearchParams(location.search);
  const [code, token_hash, type] = ["code", "token_hash", "type"].map((name) => given.get(name));
  const failed = given.has("error") || /^#error=/.test(location.hash);
  if (!code && !token_hash && !failed) return false;
  history.replaceState(null, "", location.pathname);
  const { data: found, error } = failed
    ? { error: true }
    : await (code ? supabase.auth.exchangeCodeForSession(code) : supabase.auth.verifyOtp({ token_hash, type }));
  if (error) throw new UserError(BROKEN);
  return type === "recovery" || found.redirectType === "recovery";
}
