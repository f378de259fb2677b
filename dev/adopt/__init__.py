"""`make adopt`: moving into the database of a product that runs already (docs/adopting.md)."""
