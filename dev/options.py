"""Options of several commands, apart from what carries them out, which is slow to import."""

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")
