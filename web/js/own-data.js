// A person's download of everything that is kept about them, and the deletion of their account.

import { UserError, act, data, supabase } from "./backend.js";
import { inBase64, saveFile } from "./files.js";
import { t } from "./language.js";
import { changeDialog, openWhenLoaded, redraw, set, watchDialog } from "./page.js";
import { readPicture } from "./portrait.js";
import { signOut, takeLeave } from "./session.js";
import { state } from "./state.js";

const QUIET_MS = 2000; // a shorter download shows no progress

/** The download that runs: {done, total, rows, isShown, isStopped}; null if none does. */
let download = null;
export const currentDownload = () => download;

/** Saves everything that is kept about the person as one JSON file. */
export async function downloadEverything() {
  if (download) return;
  const mine = { done: 0, total: 0, rows: 0, isShown: false, isStopped: false };
  download = mine;
  redraw();
  const timer = setTimeout(() => {
    mine.isShown = true;
    redraw();
  }, QUIET_MS);
  try {
    const parts = await everything(mine);
    if (mine.isStopped) return;
    saveFile(`account-${new Date().toISOString().slice(0, 10)}.json`, new Blob(parts, { type: "application/json" }));
    set({ said: t("The download is complete.") });
  } finally {
    clearTimeout(timer);
    download = null;
    redraw();
  }
}

export function stopDownload() {
  if (download) download.isStopped = true;
}

/** The parts of a JSON object: each section with its rows, then the pictures. They are never one text. */
async function everything(progress) {
  const { sections } = await data(supabase.rpc("download_account"));
  progress.total = sections.length + 1;
  const parts = ["{"];
  const paths = [];
  for (const section of sections) {
    parts.push(`${JSON.stringify(section)}:[`);
    for await (const rows of pages(section, progress)) {
      parts.push(rows.map((row) => JSON.stringify(row)).join(",\n"), ",\n");
      if (section === "characters") paths.push(...rows.map(({ portrait }) => portrait).filter(Boolean));
    }
    if (parts.at(-1) === ",\n") parts.pop();
    parts.push("],\n");
    finish(progress);
  }
  parts.push('"portraits":{', ...(await pictures(paths, progress)), "}}\n");
  return parts;
}

async function* pages(p_section, progress) {
  let p_after = null;
  do {
    if (progress.isStopped) return;
    const { rows, next } = await data(supabase.rpc("download_account", { p_section, p_after }));
    p_after = next;
    progress.rows += rows.length;
    redraw();
    if (rows.length) yield rows;
  } while (p_after);
}

function finish(progress) {
  progress.done += 1;
  redraw();
}

/** Pictures in base64 by path; null for one that cannot be read. */
async function pictures(paths, progress) {
  const parts = [];
  for (const path of paths) {
    if (progress.isStopped) break;
    const blob = await readPicture(path);
    parts.push(`${parts.length ? ",\n" : ""}${JSON.stringify(path)}:${JSON.stringify(blob && (await inBase64(blob)))}`);
  }
  finish(progress);
  return parts;
}

// --- deletion -------------------------------------------------------------------------------

/** The confirmation to type. The service compares it; it is the same in every language. */
export const PHRASE = "delete my account";

/** Opens the question, with what will be deleted. */
export async function showDeletion() {
  isUnclear = false;
  await openWhenLoaded("delete-account", async () => ({ contents: await data(supabase.rpc("account_contents")), isBusy: false }));
}

let isUnclear = false; // whether an earlier request may have deleted the account

/** Deletes the account, signs out, and removes what this device stores. */
export async function deleteAccount(confirmation) {
  if (!isPhrase(confirmation)) throw new UserError(t("Type exactly: {phrase}", { phrase: PHRASE }), "", 0, "confirmation");
  const isStill = watchDialog();
  changeDialog({ isBusy: true });
  set({ trouble: null });
  try {
    await act({ action: "delete_account", confirmation });
  } catch (error) {
    // After a lost answer, the repeated request is one of nobody.
    const isGone = error.code === "unauthorized" && isUnclear;
    isUnclear ||= !CERTAIN.has(error.code);
    if (isStill()) changeDialog({ isBusy: false });
    if (!isGone) throw error;
  }
  await forget();
}

// After these answers nothing was deleted.
const CERTAIN = new Set(["confirmation_required", "account_not_deleted", "banned_user", "rate_limited", "unauthorized"]);

const isPhrase = (text) => text.toLowerCase().split(/\s+/).filter(Boolean).join(" ") === PHRASE;

async function forget() {
  for (const turn of state.running.values()) turn.abort();
  takeLeave(t("Your account was deleted, with its data on this device."));
  const { error } = await signOut();
  localStorage.clear();
  sessionStorage.clear();
  dispatchEvent(new Event("storage"));
  // Without an answer the client keeps the session that it has in memory.
  if (error) location.reload();
}
