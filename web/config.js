// The addresses and the public key that the pages use. `make web` and the local stack replace this file.
export const config = {
  publishableKey: "",
  supabaseUrl: "", // "" here and below: the origin of the pages
  functionsUrl: "",
  realtime: false, // whether the project has Supabase's realtime
  demoEmail: "", // here and below: of the local stack only
  demoPassword: "",
};
