"""How the statements inside of functions read tables, from the plans that auto_explain reports."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from tests.support.postgres import Connection

Plan = Mapping[str, Any]
"""A statement: "Query Text", and "Plan" with its nodes."""

_EXPLAIN = (
    "load 'auto_explain'",
    "set auto_explain.log_min_duration = 0",
    "set auto_explain.log_nested_statements = on",
    "set auto_explain.log_analyze = on",
    "set auto_explain.log_timing = off",
    "set auto_explain.log_format = json",
    "set client_min_messages = log",
)


@contextmanager
def explained(db: Connection) -> Iterator[list[Plan]]:
    """Collects the plan of each statement that runs on a superuser's connection from now on."""
    plans: list[Plan] = []

    def hear(notice: Any) -> None:
        if found := re.search(r"plan:\s*(\{.*\})", str(notice.message_primary), re.DOTALL):
            plans.append(json.loads(found[1]))

    for statement in _EXPLAIN:
        db.execute(statement.encode())
    db.add_notice_handler(hear)
    try:
        yield plans
    finally:
        db.remove_notice_handler(hear)
        db.execute("set auto_explain.log_min_duration = -1")


def nodes(node: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    """The plan nodes that were executed."""
    if node["Actual Loops"] == 0:
        return
    yield node
    for child in node.get("Plans", []):
        yield from nodes(child)


def rows_read(node: Mapping[str, Any]) -> int:
    """The rows that a node read from a table or an index, including those that it discarded."""
    discarded = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    rows: int = round((node["Actual Rows"] + discarded) * node["Actual Loops"])
    return rows


def scanned(plans: list[Plan]) -> int:
    """The rows that all statements read from tables and indexes. A row found by a bitmap counts in
    the index and in the table."""
    return sum(
        rows_read(node)
        for plan in plans
        for node in nodes(plan["Plan"])
        if "Relation Name" in node or "Index Name" in node
    )
