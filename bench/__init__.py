"""`make bench`: what a turn costs, beside what else could answer it."""
