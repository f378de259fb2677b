"""Pictures of characters: uploaded files are redrawn and kept in Supabase Storage.

decoder   the program that decodes a picture and draws it anew; runs in a process of its own
redraw    runs it within limits of memory and time
store     keeps and loads a character's picture in Supabase Storage (`edge.storage`)
actions   the action, set_portrait; handlers implements it
"""
