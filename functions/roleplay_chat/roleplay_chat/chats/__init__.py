"""Chat files, which carry a conversation from one program to another.

sillytavern  reads and writes SillyTavern's format, one JSON object on each line
formats      converts the chats of other programs to SillyTavern's lines
dates        the forms in which its versions write times
actions      the two actions, import_chat and export_chat; handlers implements them
"""
