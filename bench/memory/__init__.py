"""`make memory-report`: what prompts know of a long conversation, and how alike they are.

Every turn is one of the real function on a real database. The function runs in this process: its
calls go to the database and to the scripted models without a socket.
"""
