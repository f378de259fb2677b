"""Character cards, the files that carry a character from one service to another.

model      validates a card and maps it to columns of `characters`
versions   converts between V2 and V3
files      detects a file's format; json_file, png_file and charx_file read and write one each
actions    the two actions, import_card and export_card; handlers implements them

The formats are specified as Character Card V1, V2 and V3.
"""
