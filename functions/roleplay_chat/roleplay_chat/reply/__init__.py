"""The model's text becomes the character's words, piece by piece."""
