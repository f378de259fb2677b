"""Real parts for tests: Postgres, PostgREST, a gateway, scripted upstreams, served functions."""
