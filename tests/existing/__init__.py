"""The database of an existing product that has used these tables for years.

Two states of it are known, january.sql and april.sql (which runs on the first), with rows.sql for
the requests of requests.json and more_rows.sql for every other kind of row. To look at one:

    .venv/bin/python -m tests.existing april

prints a connection string and keeps the database until Ctrl-C.
"""
