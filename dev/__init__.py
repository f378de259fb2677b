"""The commands behind the Makefile: the local stack, operating a project, generated documents.

`make help` lists them.
"""
