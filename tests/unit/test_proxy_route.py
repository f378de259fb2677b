"""What the edge function roleplay-chat decides: who is moved, and what kind a call is."""

from __future__ import annotations

from itertools import pairwise
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pytest

from tests.support.deno import evaluate

ROUTE = "roleplay-chat/route.ts"
PEOPLE = [str(uuid5(NAMESPACE_URL, str(number))) for number in range(2_000)]


def moved(*traffics: dict[str, Any] | None) -> list[set[str]]:
    """The people who are moved, for each row."""
    each = """
      await Promise.all(given.people.map(async (person) => {
        const hash = await module.hashOf(person);
        return given.traffics.map((traffic) => module.isMoved(traffic, person, hash));
      }))
    """
    rows = evaluate(ROUTE, each, {"people": PEOPLE, "traffics": traffics})
    return [
        {person for person, row in zip(PEOPLE, rows, strict=True) if row[column]}
        for column in range(len(traffics))
    ]


def share(percent: float, **more: Any) -> dict[str, Any]:
    return {"is_on": True, "percent": percent, "people": []} | more


def test_raising_the_percentage_moves_nobody_back() -> None:
    steps = [0, 0.1, 1, 5, 10, 25, 50, 75, 99, 100]
    groups = moved(*map(share, steps))
    for fewer, more in pairwise(groups):
        assert fewer <= more
    assert groups[0] == set()
    assert groups[-1] == set(PEOPLE)
    sizes = [len(group) / len(PEOPLE) * 100 for group in groups]
    assert sizes == pytest.approx(steps, abs=4)


def test_people_listed_are_moved_beside_the_percentage() -> None:
    only, beside, plain = moved(
        share(0, people=PEOPLE[:3]), share(10, people=PEOPLE[:3]), share(10)
    )
    assert only == set(PEOPLE[:3])
    assert beside == plain | only


def test_off_and_unknown_move_nobody() -> None:
    assert moved(share(100, is_on=False, people=PEOPLE), None) == [set(), set()]


SENTENCE = "Generate a scene based on the whole conversation."
KINDS: list[tuple[str, dict[str, Any]]] = [
    ("chat", {"message": "Hello."}),
    ("chat", {"message": "Hello.", "scene_generation": False}),
    ("chat", {"message": "Hello.", "scene_prompt_override": None, "system_prompt_override": ""}),
    ("chat", {"message": "Hello.", "scene_generation": True, "stream": True}),
    ("chat", {"message": SENTENCE}),
    ("chat", {"message": "Modify scene."}),
    ("chat", {"message": "I say: [SCENE_GENERATION]"}),
    ("chat", {"action": "regenerate", "scene_generation": True}),
    ("chat", {"scene_generation": True}),
    ("chat", {}),
    ("mixed", {"message": "Hello.", "scene_generation": True}),
    ("mixed", {"kickoff": True, "scene_generation": True}),
    ("mixed", {"message": "Please generate a scene based on this.", "scene_generation": True}),
    ("image", {"message": SENTENCE, "scene_generation": True}),
    ("image", {"message": f"  {SENTENCE} ", "scene_generation": True, "stream": True}),
    ("image", {"message": "Hello.", "scene_only": True}),
    ("image", {"kickoff": True, "scene_only": True, "scene_generation": True}),
    ("image", {"message": "Modify scene.", "scene_prompt_override": "At night."}),
    ("image", {"scene_generation": True, "scene_prompt_override": "At night."}),
    ("image", {"message": "Regenerate scene.", "scene_generation": True}),
    ("image", {"message": "[SCENE_GENERATION] A scene."}),
    ("image", {"message": "Hello.", "scene_only": True, "system_prompt_override": "You are."}),
    ("playground", {"message": "Hello.", "system_prompt_override": "You are."}),
    ("playground", {"message": "Hi.", "system_prompt_override": "x", "scene_generation": True}),
]


def test_kinds_of_calls() -> None:
    found = evaluate(ROUTE, "given.map(module.classify)", [body for _, body in KINDS])
    assert found == [kind for kind, _ in KINDS]


def test_errors_that_show_that_nothing_was_sent() -> None:
    """As Deno 2.9 words them (in `cause`), and as Deno 2.1, which the hosting runs."""
    prefix = "error sending request for url (http://127.0.0.1:9/): client error"
    given = {
        f"{prefix} (Connect): tcp connect error: Connection refused (os error 111)": True,
        f"{prefix} (Connect): dns error: failed to lookup address information": True,
        f"{prefix} (SendRequest): connection closed before message completed": False,
        f"{prefix} (SendRequest): connection error: Connection reset by peer": False,
        "The signal has been aborted": False,
    }
    expression = """
      given.flatMap((words) => [
        module.isRefused(new TypeError(words)),
        module.isRefused(new TypeError("fetch failed", { cause: new Error(words) })),
      ])
    """
    found = evaluate(ROUTE, expression, list(given))
    assert found == [expected for expected in given.values() for _ in range(2)]


def test_row_of_another_shape_is_refused() -> None:
    rows: list[Any] = [
        share(1),
        None,
        [],
        "text",
        {},
        share(1, is_on="yes"),
        share(1) | {"percent": "1"},
        share(1, people=None),
        share(1, people="everybody"),
    ]
    expression = """
      given.map((row) => {
        try { return module.parseTraffic(row); } catch { return "refused"; }
      })
    """
    assert evaluate(ROUTE, expression, rows) == [share(1), *["refused"] * (len(rows) - 1)]
