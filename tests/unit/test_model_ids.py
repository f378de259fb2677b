"""Ids of characters as models."""

from __future__ import annotations

from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from roleplay_chat.openai_api.model_ids import character_of, model_id

MARA = UUID("c0ffee00-0000-4000-8000-000000000001")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Mara Voss", "mara-voss-"),
        ("  Dr. Éloïse / de Bois!  ", "dr-eloise-de-bois-"),
        ("真琴", ""),
        ("R2-D2", "r2-d2-"),
        ("x" * 500, "x" * 40 + "-"),
        ("", ""),
    ],
)
def test_id_is_readable(name: str, slug: str) -> None:
    assert model_id(str(MARA), name) == f"{slug}{MARA}"


@given(st.text(), st.uuids())
def test_id_leads_back_to_the_character(name: str, character_id: UUID) -> None:
    assert character_of(model_id(str(character_id), name)) == character_id


@pytest.mark.parametrize(
    "model", [str(MARA), f"openai/old-name-{MARA}", f"{MARA}".upper(), f" {MARA} ", f"a\n{MARA}"]
)
def test_only_the_end_counts(model: str) -> None:
    assert character_of(model) == MARA


@pytest.mark.parametrize("model", ["", "gpt-4o", "mara-voss", f"{MARA}x", f"{MARA}"[:-1], "x" * 99])
def test_anything_else_is_no_character(model: str) -> None:
    assert character_of(model) is None
