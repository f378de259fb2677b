"""`make adopt`: moving into the database of a product that is already running (docs/adopting.md)."""
