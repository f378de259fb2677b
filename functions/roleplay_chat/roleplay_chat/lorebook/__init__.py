"""What a character's book has to say about what is being talked of."""
