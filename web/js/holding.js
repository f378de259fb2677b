// When nothing can be sent: without a connection, and after too many requests.

import { t } from "./language.js";
import { redraw, set } from "./page.js";
import { state } from "./state.js";

let ticking = null;

/** Whether sending has to wait. */
export const isHeld = ({ offline, heldUntil }) => offline || heldUntil > Date.now();

/** Lets nothing be sent for some seconds. */
export function hold(seconds) {
  clearInterval(ticking);
  state.heldUntil = Date.now() + seconds * 1000;
  ticking = setInterval(tick, 1000);
  redraw();
}

function tick() {
  if (isHeld({ heldUntil: state.heldUntil })) return redraw();
  clearInterval(ticking);
  set({ heldUntil: 0, trouble: state.trouble?.code === "rate_limited" ? null : state.trouble, said: t("You can send again.") });
}

/** The time that is left, as 0:09, 12:30 or 1:05:00. */
export function countdown(milliseconds) {
  const all = Math.max(0, Math.ceil(milliseconds / 1000));
  const two = (number) => String(number).padStart(2, "0");
  const [hours, minutes, seconds] = [Math.floor(all / 3600), Math.floor(all / 60) % 60, all % 60];
  return hours ? `${hours}:${two(minutes)}:${two(seconds)}` : `${minutes}:${two(seconds)}`;
}

addEventListener("offline", () => set({ offline: true }));
addEventListener("online", () => set({ offline: false, said: t("You are online again.") }));
