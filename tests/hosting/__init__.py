"""The files of deploy/: valid by a schema, and in agreement with the code."""
