"""What happens to configured models if OpenRouter's catalog differs, or is nonsense."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from datetime import date
from threading import get_ident
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from health_check import catalog as catalog_module
from health_check import fetch as fetch_module
from health_check.catalog import (
    MIN_MODELS,
    Catalog,
    CatalogModel,
    ModelRow,
    Verdict,
    check_catalog,
    compare,
    is_trusted,
    read_catalog,
    report,
)
from health_check.fetch import MAX_BYTES, MAX_VALUES, SHOWN_BYTES, Fetched
from health_check.steps import StepFailed
from tests.support.postgres import ROOT

SAMPLES = json.loads((ROOT / "tests/data/openrouter_samples.json").read_text())


def listed(key: str, **fields: Any) -> dict[str, Any]:
    """A catalog entry of a model."""
    pricing = {"prompt": "0", "completion": "0", "request": "0"}
    return {
        "id": key,
        "context_length": 32768,
        "pricing": pricing,
        "expiration_date": None,
    } | fields


OTHERS = [listed(f"other/model-{number}") for number in range(MIN_MODELS)]


def read(*models: Any, **more: Any) -> Catalog:
    return read_catalog(Fetched(200, {"data": [*models, *OTHERS], **more}))


def row(key: str = "a/m:free", **columns: Any) -> ModelRow:
    free = {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}
    known = {"id": "1", "model_key": key, "is_active": True, "pricing": free}
    known |= {"capabilities": {"context_tokens": 32768}, "catalog_status": None, "catalog": {}}
    return ModelRow.model_validate(known | columns)


def judged(
    its_row: ModelRow, catalog: Catalog, *, trusted: bool = True, update: bool = False
) -> Verdict:
    verdict = compare(its_row, catalog, trusted=trusted, update_prices=update)
    assert verdict
    return verdict


class TestReading:
    def test_documented_entry_is_read(self) -> None:
        (sample,) = [one for one in SAMPLES if one["id"] == "models_entry"]
        entry = read(*sample["body"]["data"]).entries["openai/gpt-4"]
        assert entry == CatalogModel("openai/gpt-4", "openai/gpt-4", 8192, 0.03, 0.06)

    @pytest.mark.parametrize(
        ("price", "per_1k"),
        [
            ("0.00003", 0.03),
            ("0", 0),
            (0.00003, 0.03),
            (0, 0),
            ("-1", None),
            ("free", None),
            (None, None),
            ([], None),
            ("NaN", None),
            ("Infinity", None),
            (float("nan"), None),
            ("1e999999", None),
        ],
    )
    def test_prices_per_token_become_prices_per_thousand(
        self, price: Any, per_1k: float | None
    ) -> None:
        catalog = read(listed("a/m", pricing={"prompt": price, "completion": "0"}))
        assert catalog.entries["a/m"].prompt_usd_per_1k == per_1k

    @pytest.mark.parametrize(
        ("fields", "context", "expires"),
        [
            ({"context_length": None}, None, None),
            ({"context_length": "8192"}, None, None),
            ({"context_length": True}, None, None),
            ({"context_length": -1}, None, None),
            ({"expiration_date": "2026-12-31"}, 32768, date(2026, 12, 31)),
            ({"expiration_date": "2026-12-31T00:00:00Z"}, 32768, date(2026, 12, 31)),
            ({"expiration_date": "some day"}, 32768, None),
            ({"expiration_date": 20261231}, 32768, None),
        ],
    )
    def test_odd_facts_are_unknown(
        self, fields: dict[str, Any], context: int | None, expires: date | None
    ) -> None:
        entry = read(listed("a/m", **fields)).entries["a/m"]
        assert (entry.context_length, entry.expires_on) == (context, expires)

    @pytest.mark.parametrize(
        ("status", "body"),
        [
            pytest.param(500, {"data": OTHERS}, id="500"),
            pytest.param(302, {"data": OTHERS}, id="redirect"),
            pytest.param(200, None, id="nothing"),
            pytest.param(200, "<!DOCTYPE html>", id="page"),
            pytest.param(200, [], id="list"),
            pytest.param(200, {"error": {"code": 502, "message": "away"}}, id="error-in-200"),
            pytest.param(200, {"data": []}, id="empty"),
            pytest.param(200, {"data": {"a/m": {}}}, id="no-list"),
            pytest.param(200, {"data": OTHERS[:-1]}, id="too-few"),
            pytest.param(200, {"data": [OTHERS[0]] * 20 + ["x"] * 3}, id="too-much-nonsense"),
            pytest.param(
                200, {"data": [{"id": f"m{n}", "object": "model"} for n in range(99)]}, id="openai"
            ),
        ],
    )
    def test_what_is_no_catalog_is_refused(self, status: int, body: Any) -> None:
        with pytest.raises(StepFailed, match="/models"):
            read_catalog(Fetched(status, body))

    def test_some_nonsense_is_passed_over(self) -> None:
        assert len(read(None).entries) == MIN_MODELS

    @pytest.mark.parametrize(
        ("more", "whole"),
        [
            ({}, True),
            ({"links": {"next": None}, "total_count": MIN_MODELS}, True),
            ({"links": {"next": "/models?offset=500"}}, False),
            ({"total_count": 900}, False),
            ({"links": "next", "total_count": "many"}, True),
        ],
    )
    def test_part_of_a_catalog_is_known_as_one(self, more: dict[str, Any], whole: bool) -> None:
        assert read(**more).whole is whole


class TestListed:
    def test_model_listed_as_configured_is_unchanged(self) -> None:
        verdict = judged(row(), read(listed("a/m:free")))
        assert (verdict.status, verdict.changes, verdict.pricing) == ("listed", (), None)
        assert verdict.catalog == {
            "prompt_usd_per_1k": 0,
            "completion_usd_per_1k": 0,
            "context_length": 32768,
        }

    @pytest.mark.parametrize(
        ("pricing", "changes"),
        [
            ({"prompt_usd_per_1k": 0.0002, "completion_usd_per_1k": 0.0004}, ()),
            ({"prompt_usd_per_1k": 0.0001, "completion_usd_per_1k": 0.0004}, ("price",)),
            ({"prompt_usd_per_1k": 0.0002}, ()),
            ({}, ()),
            ({"prompt_usd_per_1k": "cheap"}, ()),
        ],
    )
    def test_model_at_another_price_is_changed(
        self, pricing: dict[str, Any], changes: tuple[str, ...]
    ) -> None:
        now = {"prompt": "0.0000002", "completion": "0.0000004"}
        verdict = judged(row("a/m", pricing=pricing), read(listed("a/m", pricing=now)), update=True)
        assert verdict.changes == changes
        assert verdict.status == ("changed" if changes else "listed")
        assert verdict.pricing == pytest.approx(
            {"prompt_usd_per_1k": 0.0002, "completion_usd_per_1k": 0.0004}
        )

    @pytest.mark.parametrize(
        ("configured", "changes"), [(32769, ("context",)), (32768, ()), (8192, ()), (None, ())]
    )
    def test_model_with_less_context_than_configured_is_changed(
        self, configured: int | None, changes: tuple[str, ...]
    ) -> None:
        its_row = row(capabilities={"context_tokens": configured})
        assert judged(its_row, read(listed("a/m:free"))).changes == changes

    @pytest.mark.parametrize(
        ("key", "pricing", "status"),
        [
            ("a/m", {"prompt_usd_per_1k": 0, "completion_usd_per_1k": 0}, "not_free"),
            ("a/m:free", {}, "not_free"),
            ("a/m:free", {"prompt_usd_per_1k": 0.001, "completion_usd_per_1k": 0}, "listed"),
            ("a/m", {}, "listed"),
        ],
    )
    def test_and_not_free_any_more(self, key: str, pricing: dict[str, Any], status: str) -> None:
        catalog = read(listed(key, pricing={"prompt": "0.000001", "completion": "0"}))
        assert judged(row(key, pricing=pricing), catalog).status == status

    def test_model_with_an_end_date_is_expiring(self) -> None:
        verdict = judged(row(), read(listed("a/m:free", expiration_date="2026-12-31")))
        assert (verdict.status, verdict.catalog["expires_on"]) == ("expiring", "2026-12-31")

    def test_model_under_a_new_name_is_renamed(self) -> None:
        catalog = read(listed("a/m-2:free", canonical_slug="a/m:free"))
        verdict = judged(row(), catalog)
        assert (verdict.status, verdict.catalog["listed_as"]) == ("renamed", "a/m-2:free")

    def test_free_variant_is_not_the_model_that_costs(self) -> None:
        catalog = read(listed("a/m:free", canonical_slug="a/m"))
        assert judged(row("a/m"), catalog).status == "gone"


class TestNotListed:
    @pytest.mark.parametrize(
        ("before", "trusted", "status"),
        [
            (None, True, "gone"),
            ("listed", True, "gone"),
            (None, False, "missing"),
            ("listed", False, "missing"),
            ("missing", False, "gone"),
            ("gone", False, "gone"),
        ],
    )
    def test_is_gone_when_the_catalog_is_trusted_or_says_so_again(
        self, before: str | None, trusted: bool, status: str
    ) -> None:
        its_row = row(catalog_status=before, catalog={"context_length": 5})
        verdict = judged(its_row, read(), trusted=trusted)
        assert (verdict.status, verdict.catalog) == (status, {"context_length": 5})

    def test_part_of_a_catalog_says_nothing(self) -> None:
        part = read(total_count=900)
        assert compare(row(), part, trusted=True, update_prices=True) is None

    def test_model_that_comes_back_is_listed_again(self) -> None:
        its_row = row(catalog_status="gone")
        assert judged(its_row, read(listed("a/m:free")), trusted=False).status == "listed"

    @pytest.mark.parametrize(
        ("rows", "before", "trusted"),
        [
            pytest.param([row(), row("b/n")], None, True, id="one-of-two"),
            pytest.param([row(), row("b/n")], MIN_MODELS * 2 + 2, True, id="half-as-many"),
            pytest.param([row(), row("b/n")], MIN_MODELS * 2 + 3, False, id="less-than-half"),
            pytest.param([row(), row("b/n")], "many", True, id="nothing-known-before"),
            pytest.param([row("b/n")], None, False, id="all-of-them"),
        ],
    )
    def test_catalog_is_trusted_only_if_plausible(
        self, rows: list[ModelRow], before: Any, trusted: bool
    ) -> None:
        assert is_trusted(read(listed("a/m:free")), rows, before) is trusted


def test_report_names_what_is_the_matter_with_active_models() -> None:
    catalog = read(
        listed("a/listed"),
        listed("a/expiring", expiration_date="2026-12-31"),
        listed("a/paid", pricing={"prompt": "1e-6", "completion": "0"}),
        listed("a/new", canonical_slug="a/old"),
        listed("a/small", context_length=4096),
    )
    keys = ["a/listed", "a/expiring", "a/paid", "a/old", "a/small", "a/gone", "a/gone"]
    rows = [*map(row, keys), row("a/inactive", is_active=False)]
    assert report([judged(one, catalog) for one in rows]) == {
        "gone": ["a/gone"],
        "not_free": ["a/paid"],
        "expiring": {"a/expiring": "2026-12-31"},
        "renamed": {"a/old": "a/new"},
        "changed": {"a/paid": ["price"], "a/small": ["context"]},
    }


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
fields = st.sampled_from(["id", "pricing", "context_length", "expiration_date", "canonical_slug"])
prices = st.dictionaries(st.sampled_from(["prompt", "completion"]), anything)


@given(
    st.lists(st.dictionaries(fields, anything | prices | st.just("a/m:free")), max_size=2),
    st.dictionaries(st.sampled_from(["prompt_usd_per_1k", "other"]), anything),
)
def test_no_catalog_and_no_row_is_too_odd(models: list[Any], pricing: dict[str, Any]) -> None:
    enough = [*OTHERS, *(listed(f"more/{number}") for number in range(10))]
    catalog = read_catalog(Fetched(200, {"data": [*models, *enough]}))
    its_row = row(pricing=pricing, capabilities={"context_tokens": "many"})
    verdict = judged(its_row, catalog, trusted=False, update=True)
    json.dumps(verdict.to_json(), allow_nan=False)


@pytest.mark.parametrize("odd", [10**400, -1, True, "1", [], {}, None, float("inf")])
def test_odd_numbers_of_a_row_do_not_keep_others_from_being_judged(odd: Any) -> None:
    pricing = {"prompt_usd_per_1k": odd, "completion_usd_per_1k": odd}
    odd_row = row("a/m", pricing=pricing, capabilities={"context_tokens": odd})
    catalog = read(listed("a/m", pricing={"prompt": "0.1", "completion": True}))
    assert judged(odd_row, catalog).catalog["prompt_usd_per_1k"] == 100
    assert "completion_usd_per_1k" not in judged(odd_row, catalog).catalog


class Once(dict[str, CatalogModel]):
    """Entries that may be gone through once."""

    walks = 0

    def values(self) -> Any:
        self.walks += 1
        return super().values()


def test_entries_are_gone_through_once_however_many_models_are_looked_for() -> None:
    canonical = [CatalogModel(f"b/{n}", canonical=f"a/{n % 50}") for n in range(100)]
    entries = Once({entry.id: entry for entry in canonical})
    catalog = Catalog(entries)
    found = [catalog.find(f"a/{n}") for n in range(50)]
    assert [entry.id for entry in found if entry] == [f"b/{n}" for n in range(50)]
    assert catalog.find("a/50") is None
    assert entries.walks == 1


async def test_catalog_is_read_and_compared_in_a_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """On the event loop a long one would keep workers waiting that register."""
    threads: list[int] = []

    def parse(*arguments: Any, **limits: Any) -> Fetched:
        threads.append(get_ident())
        return Fetched(200, {"data": [listed("a/m:free"), *OTHERS]})

    def compared(*arguments: Any, **more: Any) -> Verdict | None:
        threads.append(get_ident())
        return compare(*arguments, **more)

    async def get_bytes(*_: Any) -> tuple[int, bytes]:
        return 200, b""

    class OfClients:
        async def rpc(self, name: str, _: Any) -> Any:
            return [row().model_dump()] if name == "read_models" else None

        async def in_thread(self, function: Callable[[], Any]) -> Any:
            return await asyncio.to_thread(function)

    monkeypatch.setattr(catalog_module, "get_bytes", get_bytes)
    monkeypatch.setattr(catalog_module, "compare", compared)
    monkeypatch.setattr(catalog_module, "Fetched", SimpleNamespace(parse=parse))
    settings = SimpleNamespace(catalog_updates_prices=False)
    provider: Any = SimpleNamespace(id="1", credentials=lambda *_, **__: {})
    run: Any = SimpleNamespace(clients=OfClients(), settings=settings)
    found: dict[str, Any] = {}
    await check_catalog(provider, run, found, {})
    assert found["listed"] == 1 + len(OTHERS)
    assert len(threads) == 2
    assert get_ident() not in threads


class TestLimits:
    """A response is not parsed beyond them."""

    @pytest.mark.parametrize("value", [b"{}", b"[]", b"0", b'""'])
    def test_values(self, value: bytes) -> None:
        body = b"[" + b",".join([value] * (MAX_VALUES // 3)) + b"]"
        assert isinstance(Fetched.parse(200, body).body, list)
        body = b"[" + b",".join([value] * MAX_VALUES) + b"]"
        assert Fetched.parse(200, body).body == "too long"
        assert isinstance(Fetched.parse(200, body, max_values=3 * MAX_VALUES).body, list)

    def test_bytes(self) -> None:
        body = json.dumps("a" * MAX_BYTES).encode()
        assert Fetched.parse(200, body).body == "too long"
        assert Fetched.parse(200, body, max_bytes=2 * MAX_BYTES).body == "a" * MAX_BYTES

    @pytest.mark.parametrize(("models", "is_in_thread"), [(100, False), (2_000, True)])
    async def test_a_long_list_of_a_worker_is_parsed_in_a_thread(
        self, monkeypatch: pytest.MonkeyPatch, models: int, is_in_thread: bool
    ) -> None:
        threads: list[int] = []

        def noted(content: bytes) -> Any:
            threads.append(get_ident())
            return json.loads(content)

        monkeypatch.setattr(fetch_module, "loads", noted)
        listed = {"data": [{"id": f"model-{number}"} for number in range(models)]}
        answers = httpx.MockTransport(lambda _: httpx.Response(200, json=listed))
        async with httpx.AsyncClient(transport=answers) as http:
            found = await fetch_module.fetch(http, "GET", "http://127.0.0.1/v1/models", headers={})
        assert found == Fetched(200, listed)
        assert [thread != get_ident() for thread in threads] == [is_in_thread]

    def test_what_is_no_json_is_kept_as_its_beginning(self) -> None:
        assert Fetched.parse(502, b"\xff" * MAX_BYTES).body == "\ufffd" * SHOWN_BYTES
        assert Fetched.parse(502, b"").body is None
