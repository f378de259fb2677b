"""Options of several commands. Separate from their implementations, which are slow to import."""

import argparse

import click

json_option = click.option("--json", "as_json", is_flag=True, help="Print the report as JSON.")


def no_options(module: str, about: str | None) -> None:
    """Read the arguments of a command of its own that takes none but --help."""
    argparse.ArgumentParser(f"python -m {module}", description=about).parse_args()
