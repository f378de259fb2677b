"""The content policy: the hard limit in every tier, explicit scenes in the one for everybody."""
