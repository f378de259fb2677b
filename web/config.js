// Where the pages find what they talk to. `make web` and the local stack write it anew.
export const config = {
  publishableKey: "",
  supabaseUrl: "", // here and below, empty: the origin of these pages
  functionsUrl: "",
};
