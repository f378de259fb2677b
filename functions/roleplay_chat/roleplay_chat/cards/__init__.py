"""Character cards, the files that carry a character from one service to another.

model      validates a card and maps it to columns of `characters`
repair     reads or leaves out values of the wrong type
versions   converts between V2 and V3
formats    says what a file is; agnai, backyard, pygmalion, risuai, sites and lorebooks convert
           other programs' files
files      detects a file's format; json_file, png_file, charx_file and yaml_file are one each
unsupported, assets  name what will not work, and what is not stored
actions    the two actions, import_card and export_card; handlers implements them

The formats are specified as Character Card V1, V2 and V3.
"""
