"""The SQL in the documents runs on this database."""

from __future__ import annotations

import re

import pytest
from psycopg import Rollback

from tests.support.postgres import ROOT
from tests.support.stack import Stack

# These are tested with stand-ins for the extensions in test_scheduled_health_check.py, or on an
# adopted database in tests/existing/test_rows.py.
ELSEWHERE = ("cron.", "net.", "vault.", "declare_age")
BLOCKS = [
    pytest.param(block, id=f"{document.name}-{number}")
    for document in sorted((ROOT / "docs").glob("*.md"))
    for number, block in enumerate(
        re.findall(
            r"^ *```sql\n(.*?)^ *```|`(select [^`]+;)`",
            document.read_text(),
            re.DOTALL | re.MULTILINE,
        )
    )
    if not any(name in "".join(block) for name in ELSEWHERE)
]


@pytest.mark.parametrize("block", BLOCKS)
def test_sql_of_a_document_is_accepted(stack: Stack, block: tuple[str, str]) -> None:
    statements = re.sub(r"<[^>]+>", "x", "".join(block))
    assert statements.strip().endswith((";", ")"))
    with stack.db.transaction():
        stack.db.execute(statements.encode())
        raise Rollback
