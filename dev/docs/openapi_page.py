"""docs/openapi.json as a page to read: HTML without scripts, which loads only the pages' style."""

import json
from collections.abc import Iterator, Mapping
from html import escape
from typing import Any

from dev.settings import ROOT

Schema = Mapping[str, Any]

_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<link rel="icon" href="icon.svg" type="image/svg+xml">
<link rel="stylesheet" href="style.css">
<link rel="stylesheet" href="api.css">
</head>
<body class="api">
"""
_METHODS = ("get", "post", "put", "patch", "delete", "options")


def page(document: Schema) -> str:
    """The page of an OpenAPI document."""
    info = document["info"]
    schemas = document["components"]["schemas"]
    return "\n".join(
        [
            _HEAD.format(title=escape(info["title"])),
            f"<header><h1>{escape(info['title'])}</h1><p>{_words(info['description'])}</p></header>",
            *_contents(document),
            "<main>",
            *(part for path, item in document["paths"].items() for part in _path(path, item)),
            "<h2 id=schemas>Schemas</h2>",
            *(part for name, schema in schemas.items() for part in _named(name, schema)),
            "</main>",
            "</body>",
            "</html>",
            "",
        ]
    )


def written() -> str:
    """The page of docs/openapi.json."""
    return page(json.loads((ROOT / "docs/openapi.json").read_text()))


def _contents(document: Schema) -> Iterator[str]:
    yield "<nav aria-label=Contents><ul>"
    for path in document["paths"]:
        yield f'<li><a href="#{_anchor(path)}">{escape(path)}</a></li>'
    yield "<li><a href=#schemas>Schemas</a></li></ul></nav>"


def _path(path: str, item: Schema) -> Iterator[str]:
    yield f'<section id="{_anchor(path)}"><h2><code>{escape(path)}</code></h2>'
    for method in _METHODS:
        if operation := item.get(method):
            yield from _operation(method, operation)
    yield "</section>"


def _operation(method: str, operation: Schema) -> Iterator[str]:
    yield f"<h3><code>{method.upper()}</code> {_words(operation['summary'])}</h3>"
    yield f"<p>{_words(operation.get('description', ''))}</p>"
    if parameters := operation.get("parameters"):
        rows = ((one["name"], one["in"], one.get("description", "")) for one in parameters)
        yield _table(("parameter", "in", ""), rows)
    if body := operation.get("requestBody"):
        yield f"<h4>Request</h4><p>{_words(body.get('description', ''))}</p>"
        yield from _content(body["content"])
    yield "<h4>Responses</h4>"
    for status, answer in operation["responses"].items():
        yield f"<details><summary>{escape(status)}</summary>"
        yield f"<pre>{escape(answer['description'])}</pre>"
        yield from _content(answer.get("content", {}))
        yield "</details>"


def _content(content: Schema) -> Iterator[str]:
    for kind, shape in content.items():
        yield f"<p><code>{escape(kind)}</code>: {_type(shape.get('schema', {}))}</p>"
        examples = [one["value"] for one in shape.get("examples", {}).values()]
        for example in [*examples, *([shape["example"]] if "example" in shape else [])]:
            yield f"<pre>{escape(_example(example))}</pre>"


def _example(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, indent=2, ensure_ascii=False)


def _named(name: str, schema: Schema) -> Iterator[str]:
    yield f'<section id="{_anchor(name)}"><h3>{escape(name)}</h3>'
    yield f"<p>{_words(schema.get('description', ''))}</p>"
    required = schema.get("required", ())
    rows = (
        (field, _type(shape), f"{'' if field in required else 'optional. '}{_about(shape)}")
        for field, shape in schema.get("properties", {}).items()
    )
    yield _table(("field", "type", ""), rows, is_typed=True)
    if "properties" not in schema:
        yield f"<p>{_type(schema)}</p>"
    yield "</section>"


def _about(shape: Schema) -> str:
    return str(shape.get("description", ""))


def _type(shape: Schema) -> str:
    """A schema in a few words, as HTML."""
    if "$ref" in shape:
        name = shape["$ref"].rpartition("/")[2]
        return f'<a href="#{_anchor(name)}">{escape(name)}</a>'
    for word, joint in (("anyOf", " or "), ("oneOf", " or "), ("allOf", " and ")):
        if word in shape:
            return joint.join(map(_type, shape[word]))
    if "const" in shape:
        return f"<code>{escape(json.dumps(shape['const']))}</code>"
    if "enum" in shape:
        return ", ".join(f"<code>{escape(str(value))}</code>" for value in shape["enum"])
    if shape.get("type") == "array":
        return f"list of {_type(shape.get('items', {}))}"
    kind = shape.get("type", "anything")
    words = " or ".join(kind) if isinstance(kind, list) else kind
    return escape(f"{words} ({shape['format']})" if "format" in shape else words)


def _table(head: tuple[str, ...], rows: Any, *, is_typed: bool = False) -> str:
    """A table; with `is_typed`, the second column is HTML."""
    cells = [
        f"<tr><td><code>{escape(name)}</code></td>"
        f"<td>{second if is_typed else escape(second)}</td><td>{_words(about)}</td></tr>"
        for name, second, about in rows
    ]
    if not cells:
        return ""
    heads = "".join(f"<th scope=col>{escape(one)}</th>" for one in head)
    return f"<div class=scrolls><table><tr>{heads}</tr>{''.join(cells)}</table></div>"


def _words(text: str) -> str:
    """Text with `code` in it, as HTML."""
    parts = escape(text).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))


def _anchor(name: str) -> str:
    return "".join(char if char.isalnum() else "-" for char in name).strip("-")
