// What errors of the Data API and of sign-in mean, in sentences for people. Pure functions.
//
// PostgREST converts values before any of our code runs, and its own words quote them and the schema.

import { t } from "./language.js";

const FAILED = t("That did not work. Try again in a moment, or reload the page.");
const WRONG_VALUE = t("A value has the wrong form, or is too large. Correct it and try again.");
const OUTDATED = t("This page does not fit the service any more. Reload it, and tell an admin if that does not help.");

const SENTENCES = {
  23502: t("Something is missing. Fill it in and try again."),
  23503: t("It is still in use. Remove what uses it first."),
  23505: t("This name already exists. Choose another one."),
  23514: t("This value is not allowed. Correct it and try again."),
  413: t("This is too large to be saved. Shorten it and try again."),
  42501: t("You do not have permission to do this. Ask an admin."),
  PGRST116: t("This is gone. Reload the page."),
  invalid_credentials: t("Email or password is wrong. Try again, or create an account."),
  user_already_exists: t("An account with this email already exists. Sign in instead."),
  email_not_confirmed: t("Open the link in the email we sent, then sign in."),
  over_request_rate_limit: t("Too many attempts. Wait a minute, then try again."),
};

/**
 * The sentence for an error with this code. Its own `message` is shown if it is `worded` for people, as our database and
 * the Auth server word theirs.
 */
export function sentenceOf(code, message, worded) {
  if (SENTENCES[code]) return SENTENCES[code];
  if (worded || /^PT\d/.test(code)) return message.replace(/\.?$/, ".");
  if (/^22...$/.test(code)) return WRONG_VALUE;
  // A request that PostgREST cannot read, or for tables, columns or functions that it does not have.
  return /^(?:PGRST[12]..|42P01|42703|42883)$/.test(code) ? OUTDATED : FAILED;
}
