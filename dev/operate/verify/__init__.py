"""`make verify`: checks an installation and says how to fix problems.

command         runs all checks
check           the result of one
schema          checks of the database
providers       checks of addresses and keys
models          checks of models
health_check    checks of the scheduled runs
workers         checks of workers
functions       checks of the running function, and of its settings
key_now         what OpenRouter says about the key now
probes          what workers answer now
report          the tables
"""
