"""Fixtures: one stack with the real language model for all tests, because it starts slowly."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any
from uuid import uuid4

import pytest
from playwright.sync_api import Browser, expect

from tests.support.browser import running_browser
from tests.support.person import SCRIPTED, Person, operator
from tests.support.upstream import Upstream, running_upstream
from tests.support.waiting import PATIENCE
from tests.support.working_copy import WorkingCopy, running_copy

_numbers = count(1)


@pytest.fixture(scope="package")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WorkingCopy]:
    with running_copy(tmp_path_factory.mktemp("copy") / "project") as copy:
        yield copy


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as browser:
        yield browser


@pytest.fixture
def scripted(copy: WorkingCopy) -> Iterator[Upstream]:
    """The upstream of the model `SCRIPTED`, which has a provider of its own."""
    with running_upstream() as upstream:
        provider = {"id": str(uuid4()), "name": "scripted", "display_name": "Scripted"}
        provider |= {"base_url": f"{upstream.url}/v1", "auth_scheme": "none"}
        model: dict[str, Any] = {
            "provider_id": provider["id"],
            "model_key": SCRIPTED,
            "display_name": "Script",
        }
        model |= {"modality": "roleplay", "task": "roleplay", "priority": 900}
        model |= {"capabilities": {"nsfw": True, "memory": False}}
        operator(copy, "POST", "/rest/v1/api_providers", provider)
        operator(copy, "POST", "/rest/v1/api_models", model)
        yield upstream
        for rows in (
            f"api_models?model_key=eq.{SCRIPTED}",
            "api_providers?name=eq.scripted",
            "model_cooldowns?key=like.scripted*",
        ):
            operator(copy, "DELETE", f"/rest/v1/{rows}", None)


@pytest.fixture
def models(copy: WorkingCopy) -> Iterator[None]:
    """Restores the order and the defaults of models, because other tests have the same stack."""
    query = "api_models?select=id,priority,is_default&order=is_default"
    before = copy.rows(query)
    yield
    operator(copy, "PATCH", "/rest/v1/api_models?is_default=is.true", {"is_default": False})
    for row in before:
        operator(copy, "PATCH", f"/rest/v1/api_models?id=eq.{row.pop('id')}", row)


@pytest.fixture
def person(browser: Browser, copy: WorkingCopy) -> Iterator[Person]:
    url = copy.stack_env["FUNCTIONS_URL"]
    context = browser.new_context(viewport={"width": 1280, "height": 800}, locale="en-GB")
    context.set_default_timeout(PATIENCE * 1000)
    expect.set_options(timeout=PATIENCE * 1000)
    page = context.new_page()
    person = Person(page, copy, url, f"ada{next(_numbers)}@example.com")
    page.on("console", person.hear)
    page.on("pageerror", lambda error: person.complaints.append(str(error)))
    yield person
    unexpected = person.unexpected()
    context.close()
    assert unexpected == []


@pytest.fixture
def admin(person: Person) -> Person:
    """A signed-in admin with a conversation."""
    person.begin(role="admin")
    expect(person.page.get_by_role("link", name="Console")).to_be_visible()
    expect(person.said).to_have_count(1)
    return person
