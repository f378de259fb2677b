"""`make backup` and `make restore`: an installation's rows, pictures and settings in one file."""
