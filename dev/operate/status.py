"""`make status`: the parts of the local stack, where the pages are, and who signs in there."""

from collections.abc import Mapping, Sequence

import click

from dev.operate.report import Line, Part, Table, show
from dev.settings import Settings, read_env_file

HEADINGS = ("part", "state", "process", "address", "log")


def main(settings: Settings, rows: Sequence[Sequence[str]], *, as_json: bool) -> int:
    """Print the state of each part. The exit code is 0 if all are up."""
    env = read_env_file(settings.stack_env)
    data = {
        "parts": [dict(zip(HEADINGS, row, strict=True)) for row in rows],
        "pages": f"{settings.functions_url}/",
        "console": f"{settings.functions_url}/console.html",
        "api": f"{settings.functions_url}/api.html",
        "demo_email": env.get("DEMO_EMAIL"),
        "demo_password": env.get("DEMO_PASSWORD"),
    }
    show(report(rows, data), data, as_json=as_json)
    if all(row[1] == "up" for row in rows):
        return 0
    click.echo("`make up` starts the parts that are down.", err=True)
    return 1


def report(rows: Sequence[Sequence[str]], data: Mapping[str, object]) -> list[Part]:
    """The parts as a table, and what a person needs to begin."""
    parts: list[Part] = [Table(HEADINGS, rows), Line(f"Pages      {data['pages']}")]
    parts.append(Line(f"Console    {data['console']}"))
    parts.append(Line(f"API        {data['api']}"))
    if data["demo_email"]:
        parts.append(Line(f"Demo user  {data['demo_email']}, password {data['demo_password']}"))
    return parts
