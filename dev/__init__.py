"""The commands behind the Makefile: the local stack, operating a project, printed documents.

`make help` lists them.
"""
