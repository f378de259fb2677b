"""The content policy: the hard limit in every tier, and explicit scenes in the `sfw` tier."""
