"""Running an installation: its settings, deployment, checks and usage."""
