// What happens to a call: decided from its body, the person and the switch, without input or output.

export type Body = Record<string, unknown>;
/** `mixed`: a reply, then an image of it. `playground`: the caller brings the system prompt. */
export type Kind = "chat" | "mixed" | "image" | "playground";

/** The row of `private.traffic`. */
export interface Traffic {
  is_on: boolean;
  percent: number;
  people: string[];
}

const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const MAX_TOKEN_CHARS = 8_192;
// Sentences that the client writes in a person's place to ask for an image.
const OF_THE_WHOLE_TALK = "Generate a scene based on ";
const OF_ONE_MESSAGE = "Generate a scene image for this moment: ";
const AGAIN = ["Modify scene.", "Regenerate scene."];
const OF_THE_DIALOG = "[SCENE_GENERATION]";

/** The id in a person's token; null for API keys and anything else. Verifies no signature. */
export function personOf(authorization: string | null): string | null {
  const [scheme, token, rest] = (authorization ?? "").split(" ");
  if (scheme.toLowerCase() !== "bearer" || !token || rest !== undefined) return null;
  if (token.length > MAX_TOKEN_CHARS || !/^[\w-]+\.[\w-]+\.[\w-]+$/.test(token)) return null;
  try {
    const { sub, role } = JSON.parse(
      atob(token.split(".")[1].replaceAll("-", "+").replaceAll("_", "/")),
    );
    return role === "authenticated" ? uuid(sub) : null;
  } catch {
    return null;
  }
}

/** A UUID in lower case; null for everything else, also for a list that holds one. */
export function uuid(value: unknown): string | null {
  const text = typeof value === "string" ? value.toLowerCase() : "";
  return UUID.test(text) ? text : null;
}

export function parseTraffic(row: unknown): Traffic {
  const { is_on, percent, people } = row as Traffic;
  if (typeof is_on !== "boolean" || typeof percent !== "number" || !Array.isArray(people)) {
    throw new TypeError("read_traffic() answered something else");
  }
  return { is_on, percent, people };
}

/** SHA-256 of a person's id, in hex: their place in the percentage and their name in the log. */
export async function hashOf(person: string): Promise<string> {
  const hash = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(person));
  return Array.from(new Uint8Array(hash), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/** Whether the new function answers. Places are fixed, so a higher percentage only adds people. */
export function isMoved(traffic: Traffic | null, person: string, hash: string): boolean {
  if (!traffic?.is_on) return false;
  const place = (parseInt(hash.slice(0, 8), 16) / 2 ** 32) * 100;
  return traffic.people.includes(person) || place < traffic.percent;
}

export function classify(body: Body): Kind {
  if (asksForImageOnly(body)) return "image";
  if (body.system_prompt_override) return "playground";
  const mixed = body.scene_generation && (body.message || body.kickoff) && !body.stream;
  return mixed ? "mixed" : "chat";
}

function asksForImageOnly(body: Body): boolean {
  if (body.scene_only || body.scene_prompt_override) return true;
  const message = typeof body.message === "string" ? body.message.trim() : "";
  if (message.startsWith(OF_THE_DIALOG)) return true;
  const isSentence = [OF_THE_WHOLE_TALK, OF_ONE_MESSAGE].some((start) => message.startsWith(start));
  return Boolean(body.scene_generation) && (isSentence || AGAIN.includes(message));
}

/** Asks the old function for an image of `reply`, or of `message` where that is the reply. */
export function imageBody(body: Body, reply: string | null): Body {
  const message = String(body.message ?? "").trim();
  const isInstruction = [OF_THE_WHOLE_TALK, OF_THE_DIALOG].some((start) =>
    message.startsWith(start)
  );
  const replaced = reply !== null && isInstruction ? { message: reply } : {};
  return { ...body, ...replaced, scene_only: true };
}

/** Asks the old function for an image of the reply that the new function just gave. */
export function imageOfReply(body: Body, reply: string): Body {
  return { ...body, message: reply, kickoff: false, scene_only: true };
}

/** Whether an answer of the new function is a whole, saved reply. */
export function isWhole(
  status: number,
  answer: Body | null,
): answer is Body & { response: string } {
  return status === 200 && answer?.success === true && typeof answer.response === "string" &&
    answer.response !== "" && !answer.incomplete && answer.saved !== false;
}

/** Whether an answer shows that the request never reached the new function. */
export function isUnreached(status: number, requestId?: string | null): boolean {
  return (status === 404 || status === 502) && !requestId;
}

/** Whether no connection came about. A time-out or a broken connection does not show that. */
export function isRefused(error: unknown): boolean {
  const { message, cause } = error as Error;
  return `${message} ${(cause as Error | undefined)?.message}`.includes("client error (Connect)");
}
