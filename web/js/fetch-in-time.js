// Requests to Supabase that end if no answer begins in time.

const ANSWER_MS = 20_000; // the database itself gives up earlier
const SLOWEST = 4; // bytes of a request's body that a living connection sends in a millisecond

/** How many milliseconds to wait for the answer to a request with this body, such as a whole lorebook. */
export const waitMs = (body) => ANSWER_MS + Math.ceil((body?.size ?? body?.length ?? 0) / SLOWEST);

/** A request that is aborted if no answer begins in time. Supabase's client does not repeat one that was aborted. */
export async function fetchInTime(input, init = {}) {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), waitMs(init.body));
  try {
    return await fetch(input, { ...init, signal: init.signal ?? late.signal });
  } finally {
    clearTimeout(timer);
  }
}
