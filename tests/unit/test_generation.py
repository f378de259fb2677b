"""The small decisions around a call: its time limits, its cost."""

from typing import Any

import pytest

from roleplay_chat.generation import Limits, cost_usd
from roleplay_chat.routing import Target
from roleplay_chat.settings import Settings

SETTINGS = Settings(supabase_url="http://x", supabase_secret_key="x")  # type: ignore[arg-type]


def limits(timeouts: dict[str, Any]) -> Limits:
    target = Target("openrouter", "m", "M", "openai", "http://x/", timeouts=timeouts)
    return Limits.of(target, SETTINGS)


class TestLimits:
    def test_are_the_settings_where_the_row_says_nothing(self) -> None:
        assert limits({}) == Limits(connect=5, first_token=25, idle=15, total=90)

    def test_are_the_rows_where_it_does(self) -> None:
        assert limits({"first_token": 40, "idle": 0.5, "other": 1}) == Limits(
            connect=5, first_token=40, idle=0.5, total=90
        )

    @pytest.mark.parametrize("odd", [0, -1, "soon", None, [], 1e9, float("nan"), float("inf")])
    def test_are_the_settings_where_the_row_says_nonsense(self, odd: Any) -> None:
        assert limits({"total": odd, "connect": odd}) == limits({})


class TestCost:
    @pytest.mark.parametrize(
        ("parts", "cost"),
        [
            pytest.param([(1000, 0.2), (500, 0.4)], 0.4, id="tokens-times-prices"),
            pytest.param([(1000, 0), (500, 0)], 0, id="free"),
            pytest.param([(None, 0), (None, 0)], 0, id="free-and-not-counted"),
            pytest.param([(None, 0.2), (500, 0.4)], None, id="not-counted"),
            pytest.param([(1000, None), (500, 0.4)], None, id="not-priced"),
        ],
    )
    def test_is_known_or_not(
        self, parts: list[tuple[int | None, float | None]], cost: float | None
    ) -> None:
        assert cost_usd(*parts) == (None if cost is None else pytest.approx(cost))
