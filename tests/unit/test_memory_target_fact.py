"""Which known fact a note may change."""

from __future__ import annotations

import pytest

from roleplay_chat.memory.noted_facts import Fact
from roleplay_chat.memory.target_fact import may_change


@pytest.mark.parametrize(
    ("new", "old", "may"),
    [
        ("Ada lives in Oslo.", "Ada lives in Rome.", True),
        ("Ada Lovelace lives in Oslo.", "Ada lives in Rome.", True),
        ("Ada bought nuts.", "Ada is allergic to nuts.", False),
        ("Ada is allergic to milk.", "Ada is allergic to nuts.", False),
        ("Ada is not allergic to nuts.", "Ada is allergic to nuts.", True),
        ("Ada's cat is called Miso.", "Ada's cat is called Rex.", True),
        ("The user lives in Oslo.", "Ada lives in Oslo.", True),
        ("Jon lives in Oslo.", "Tom lives in Oslo.", False),
        ("Ada has a dog.", "Tom has a dog.", False),
        ("She has no dog.", "She has a dog.", True),
        ("Ada hates being tied.", "Ada hates being woken.", False),
        ("Ada has a sister called Eva.", "Ada's brother is called Tom.", False),
    ],
)
def test_note_that_is_not_saved_is_changed_only_by_one_about_the_same(
    new: str, old: str, may: bool
) -> None:
    assert may_change(Fact("profile", new), Fact("profile", old), ["I live there."]) is may
