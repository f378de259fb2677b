"""Which models are asked, in which order, and what becomes of their failures."""
