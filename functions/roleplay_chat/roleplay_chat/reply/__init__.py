"""Cleans a model's output, piece by piece as it streams."""
