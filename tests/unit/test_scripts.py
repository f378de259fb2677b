"""Letters of scripts without spaces, the same ones in the function and in the database."""

from __future__ import annotations

import re
from itertools import chain

import pytest

from roleplay_chat.scripts import ATTACHING, is_unspaced
from tests.support.postgres import MIGRATIONS


@pytest.mark.parametrize("letter", "กຂཀကខꦲあアーｱㄅ灯々漢𠀀")
def test_letters_of_scripts_without_spaces(letter: str) -> None:
    assert is_unspaced(letter)


@pytest.mark.parametrize("letter", "azßéạếаΩἀאمहგხአᏣ한 .。1")
def test_other_characters(letter: str) -> None:
    """Vietnamese, Georgian, Amharic and Cherokee letters come after the first of these."""
    assert not is_unspaced(letter)


def test_database_treats_the_same_letters_so() -> None:
    text = "".join(path.read_text() for path in sorted(MIGRATIONS.glob("*.sql")))
    classes = re.findall(r"'\[(\\u0E00-[^]]+)\]'", text)
    assert len(classes) == 3
    attaching = re.compile(f"[{ATTACHING}]")
    for ranges in classes:
        ends = re.findall(r"\\u([0-9A-F]{4})-\\u([0-9A-F]{4})", ranges)
        places = chain.from_iterable(range(int(a, 16), int(b, 16) + 1) for a, b in ends)
        assert [hex(place) for place in places if not attaching.match(chr(place))] == []
