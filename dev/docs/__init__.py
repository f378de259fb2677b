"""Documents that are written by programs."""
