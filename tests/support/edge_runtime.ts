// Starts an edge function on Deno with what the hosting adds to it.

Object.assign(globalThis, {
  EdgeRuntime: {
    waitUntil(promise: Promise<unknown>) {
      console.log(JSON.stringify({ event: "waitUntil" }));
      promise.catch((error) =>
        console.log(JSON.stringify({ event: "unhandled", error: `${error}` }))
      );
    },
  },
});
await import(Deno.args[0]);
