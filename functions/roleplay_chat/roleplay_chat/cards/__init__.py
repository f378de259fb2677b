"""Character cards: how people carry a character from one service to another.

model      what a card says, checked, and as columns of `characters`
versions   the same card as V2 and as V3
files      which format a file has; json_file, png_file and charx_file read and write one each
actions    the two actions, import_card and export_card; handlers does them

The formats are documented by their authors as Character Card V1, V2 and V3.
"""
