// Runs a turn of one user through the library that the web client uses.
//
// Standard input: {supabaseUrl, publishableKey, functionsUrl, token, said, body}. `said` is inserted
// into `messages` first, as the existing client does; otherwise the function inserts the message.
// Standard output: {data | stream | error, messages}.

import { readFileSync } from "node:fs";
import { FunctionsClient } from "@supabase/functions-js";
import { FunctionsHttpError, createClient } from "@supabase/supabase-js";

const { supabaseUrl, publishableKey, functionsUrl, token, said, body } = JSON.parse(
  readFileSync(0, "utf8"),
);
const supabase = createClient(supabaseUrl, publishableKey, {
  accessToken: async () => token,
  realtime: { transport: class {} }, // unused, but required because Node.js 20 has no WebSocket
});
const functions = new FunctionsClient(functionsUrl, {
  headers: {
    Authorization: `Bearer ${token}`,
    apikey: publishableKey,
    "x-client-info": "supabase-js-web/2",
  },
});

if (said) {
  const row = { conversation_id: body.conversation_id, sender: "user", content: said };
  const { error } = await supabase.from("messages").insert({ ...row, message_type: "text" });
  if (error) throw error;
}

const answer = {};
const { data, error } = await functions.invoke("roleplay_chat", { body });
if (error instanceof FunctionsHttpError) {
  const { status, headers } = error.context;
  const envelope = await error.context.json();
  answer.error = { status, requestId: headers.get("x-request-id"), envelope };
} else if (error) {
  throw error;
} else if (data instanceof Response) {
  answer.stream = "";
  for await (const piece of data.body.pipeThrough(new TextDecoderStream())) answer.stream += piece;
} else {
  answer.data = data;
}

const { data: messages, error: unreadable } = await supabase
  .from("messages")
  .select("id, sender, content")
  .eq("conversation_id", body.conversation_id)
  .order("created_at");
if (unreadable) throw unreadable;
console.log(JSON.stringify({ ...answer, messages }));
