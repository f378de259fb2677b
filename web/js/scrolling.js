// Where the messages are scrolled to: at the newest, or at the one that is being read.

import { loadMessages } from "./messages.js";
import { drawn, set } from "./page.js";
import { state } from "./state.js";

const NEAR = 80; // pixels from the end that count as the end

const find = () => document.querySelector(".column");
const isAtEnd = (column) => column.scrollHeight - column.scrollTop - column.clientHeight < NEAR;

/** The first message in sight, by halves: there may be thousands. */
function firstInSight(column) {
  const { children = [] } = column.querySelector(".talk") ?? {};
  const top = column.getBoundingClientRect().top;
  let [low, high] = [0, children.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (children[middle].getBoundingClientRect().bottom > top) high = middle;
    else low = middle + 1;
  }
  return children[low] ?? null;
}

let shown = null; // the conversation that was drawn last
let isPart = false; // whether later messages were missing then

/** Draws, and keeps the message in sight that is read; at the end, the newest one. A target comes first. */
export function keepPlace(draw) {
  const before = shown === state.conversation?.id ? find() : null;
  const follows = state.toEnd || !before || (isAtEnd(before) && !isPart);
  const mark = follows ? null : firstInSight(before);
  const top = mark?.getBoundingClientRect().top;
  draw();
  const after = find();
  shown = state.conversation?.id;
  isPart = state.hasLater;
  state.toEnd = false;
  if (!after || reached()) return;
  if (follows) after.scrollTop = after.scrollHeight;
  else if (mark?.isConnected) after.scrollTop += mark.getBoundingClientRect().top - top;
}

/** Shows the message that is the target. Returns whether it is drawn. */
function reached() {
  const target = state.target && document.getElementById(`message-${state.target}`);
  if (!target) return false;
  state.target = null;
  target.scrollIntoView({ block: "center" });
  target.focus({ preventScroll: true });
  return true;
}

/** Notes whether the newest message is in sight. */
export function scrolled({ target }) {
  const away = !isAtEnd(target);
  if (away !== state.away) set(away ? { away } : { away, fresh: false });
}

/** Scrolls to the newest message, and loads it if it is not there. */
export async function showNewest() {
  if (state.hasLater) await loadMessages(null, true);
  set({ toEnd: true, fresh: false, away: false });
  await drawn();
  document.getElementById("message")?.focus({ preventScroll: true });
}
