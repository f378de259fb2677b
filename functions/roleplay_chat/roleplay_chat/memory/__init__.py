"""What is remembered of a conversation beyond its newest messages."""
