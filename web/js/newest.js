// Loads of one list, of which only the newest counts.

/**
 * Makes a function that runs a load and resolves to its result. It resolves to null if another load began meanwhile, or
 * if `isWanted` says no: then neither the result nor an error matters to anybody.
 */
export function newestOf() {
  let begun = 0;
  return async (load, isWanted) => {
    const mine = ++begun;
    const counts = () => mine === begun && isWanted();
    try {
      const loaded = await load();
      return counts() ? loaded : null;
    } catch (error) {
      if (counts()) throw error;
      return null;
    }
  };
}
