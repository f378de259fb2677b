"""docs/openapi.json as a page: complete, without scripts, and every text as text."""

from __future__ import annotations

import json
import re
from html.parser import HTMLParser
from typing import Any

from dev.docs import openapi_page
from dev.docs.openapi.document import FILE

DOCUMENT = json.loads(FILE.read_text())


class Reader(HTMLParser):
    """The tags, links, ids and words of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.ids: list[str] = []
        self.links: set[str] = set()
        self.words = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        given = dict(attrs)
        if name := given.get("id"):
            self.ids.append(name)
        if link := given.get("href"):
            self.links.add(link)

    def handle_data(self, data: str) -> None:
        self.words += data


def test_every_path_field_and_link_is_there() -> None:
    read = Reader(openapi_page.written())
    for path in DOCUMENT["paths"]:
        assert path in read.words
    for name, schema in DOCUMENT["components"]["schemas"].items():
        assert name in read.words
        for field in schema.get("properties", {}):
            assert field in read.words
    assert len(read.ids) == len(set(read.ids))
    targets = {link[1:] for link in read.links if link.startswith("#")}
    assert targets <= set(read.ids)


def test_nothing_remote_and_no_script() -> None:
    read = Reader(openapi_page.written())
    assert "script" not in read.tags
    assert {link for link in read.links if not link.startswith("#")} == {
        *("icon.svg", "style.css", "api.css"),
    }
    assert not re.search(r"<[^>]+ (style|on\w+)=", openapi_page.written())


def test_text_is_no_markup() -> None:
    hostile = '<img src=x onerror="x">'
    document: dict[str, Any] = {
        "info": {"title": hostile, "description": hostile},
        "paths": {
            f"/{hostile}": {
                "get": {
                    "summary": hostile,
                    "parameters": [{"name": hostile, "in": hostile, "description": hostile}],
                    "responses": {
                        hostile: {
                            "description": hostile,
                            "content": {
                                hostile: {"schema": {"enum": [hostile]}, "example": hostile}
                            },
                        }
                    },
                }
            }
        },
        "components": {
            "schemas": {
                hostile: {
                    "description": hostile,
                    "properties": {hostile: {"type": hostile, "format": hostile}},
                },
                "Other": {"anyOf": [{"$ref": f"#/{hostile}"}, {"const": hostile}]},
            }
        },
    }
    read = Reader(openapi_page.page(document))
    assert "img" not in read.tags
    assert read.words.count(hostile) > 10
