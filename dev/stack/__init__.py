"""The local stack: its parts, and what starts and watches them."""
