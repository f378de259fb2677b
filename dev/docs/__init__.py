"""Generators of documents from code."""
