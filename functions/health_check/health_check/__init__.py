"""Probes the workers every minute and records how they are."""
