"""The command: what it would do, or does."""

import click
import psycopg
from psycopg.rows import dict_row

from dev.adopt.apply import AdoptionError, done
from dev.adopt.apply import apply as apply_steps
from dev.adopt.apply import undo as undo_steps
from dev.adopt.steps import steps


def main(database_url: str, *, apply: bool, undo: bool) -> int:
    """Print what there is to do, and do it where it is to be applied."""
    try:
        with psycopg.connect(database_url, row_factory=dict_row, connect_timeout=10) as database:
            if undo and apply:
                undo_steps(database, click.echo)
            elif apply:
                apply_steps(database, click.echo)
            else:
                before = done(database)
                for step in steps():
                    click.echo(f"{'done' if step.name in before else 'to do':<6} {step.name}")
    except (AdoptionError, psycopg.OperationalError) as error:
        click.echo(str(error), err=True)
        return 1
    return 0
