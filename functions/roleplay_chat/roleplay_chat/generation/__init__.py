"""Chooses models, calls them one after another, and handles their failures."""
