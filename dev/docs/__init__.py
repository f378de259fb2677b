"""Printers of documents that are generated from code."""
