// Reads the rows of a memory for the page.

import { dateFormat } from "./language.js";

/** The whole summary: the person's part, then the model's. */
export function joined(summary) {
  return summary ? [summary.person_content, summary.content].filter(Boolean).join("\n") : "";
}

/**
 * Facts that hold now, each with `earlier`, the texts that it replaced, the newest first, and `hiddenBy`, the text that
 * takes its place in this conversation, if it holds only elsewhere. Where several characters take part (`members`), what
 * one of them knows hides nothing from the others.
 */
export function sorted(rows, members = 1) {
  const byNewer = new Map();
  for (const row of rows.filter((row) => row.replaced_by)) {
    const older = byNewer.get(row.replaced_by) ?? [];
    older.push(row);
    byNewer.set(row.replaced_by, older);
  }
  const isCurrent = (row) => !row.replaced_by && !row.is_withdrawal;
  const current = rows.filter(isCurrent);
  const hiding = current.filter((row) => row.is_active && row.hides?.length && (row.memories.tier === "conversation" || members === 1));
  return {
    facts: current.map((row) => ({ ...row, earlier: replacedBy(row, byNewer), hiddenBy: hiddenBy(row, hiding) })),
  };
}

function hiddenBy(row, hiding) {
  if (row.pinned || row.written_by === "person") return null;
  return hiding.find(({ hides }) => hides.includes(row.id))?.content ?? null;
}

function replacedBy(row, byNewer) {
  const found = new Set([row.id]); // Grows while it is walked through.
  const texts = new Set();
  for (const id of found) {
    for (const older of byNewer.get(id) ?? []) {
      if (!older.is_withdrawal) texts.add(older.content);
      found.add(older.id);
    }
  }
  texts.delete(row.content);
  return [...texts];
}

const days = dateFormat({ dateStyle: "long" });

/** A day as people write it. */
export function day(time) {
  return days.format(new Date(time));
}
