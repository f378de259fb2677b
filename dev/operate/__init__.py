"""Operating a project: its settings, deployment, checks and usage."""
