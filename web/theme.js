// Runs before anything is drawn, so that no other theme or size flashes up. Not a module: those run later.

(() => {
  const dark = document.getElementById("dark");
  const MEDIA = { system: "(prefers-color-scheme: dark)", light: "not all", dark: "all" };
  const apply = () => {
    dark.media = MEDIA[localStorage.getItem("theme")] ?? MEDIA.system;
    document.documentElement.dataset.size = localStorage.getItem("size") ?? "normal";
  };
  apply();
  // Chosen in another tab, or in this one, which dispatches the event itself.
  addEventListener("storage", apply);
})();
