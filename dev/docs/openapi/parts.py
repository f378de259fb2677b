"""What the parts of the API description are made of: examples, schemas of models, responses."""

from collections.abc import Iterable
from typing import Any, Literal

from msgspec import Struct
from msgspec.json import schema_components
from pydantic import TypeAdapter

Schema = dict[str, Any]
"""A JSON schema, or another object of the document."""

ID = "c0ffee00-0000-4000-8000-000000000001"
REQUEST_ID = "0123456789abcdef0123456789abcdef"
ANYWHERE = "http://127.0.0.1:8787"


def generated(
    types: Iterable[type], mode: Literal["validation", "serialization"]
) -> dict[str, Schema]:
    """The schemas of these models and dataclasses, including nested ones, by name."""
    inputs = [(shape.__name__, mode, TypeAdapter[Any](shape)) for shape in types]
    template = "#/components/schemas/{model}"
    _, schema = TypeAdapter.json_schemas(inputs, ref_template=template)
    return _tidied(schema["$defs"])


def generated_from_structs(types: Iterable[type[Struct]]) -> dict[str, Schema]:
    """The schemas of these structs, including nested ones, by name."""
    template = "#/components/schemas/{name}"
    _, definitions = schema_components(types, ref_template=template)
    for definition in definitions.values():
        if not definition["required"]:
            del definition["required"]
        for field in definition["properties"].values():
            if "enum" in field:
                field["type"] = "string"
    return _tidied(definitions)


def _tidied(definitions: dict[str, Schema]) -> dict[str, Schema]:
    for definition in definitions.values():
        definition.pop("title", None)
        for field in definition["properties"].values():
            field.pop("title", None)
            if field.get("default", "") is None:
                del field["default"]
    return definitions


def object_schema(description: str, properties: Schema, optional: Schema | None = None) -> Schema:
    """The schema of an object. Only the `optional` properties may be missing."""
    about = {"description": description} if description else {}
    named = {"properties": properties | (optional or {}), "required": list(properties)}
    return {"type": "object", **about, **named}


def ref(name: str) -> Schema:
    """A reference to a schema of `components`."""
    return {"$ref": f"#/components/schemas/{name}"}


def answered(description: str, content: Schema) -> Schema:
    """A response with a request id. `content` is by media type."""
    header = {"X-Request-Id": {"$ref": "#/components/headers/X-Request-Id"}}
    return {"description": description, "headers": header, "content": content}


def json_content(properties: Schema) -> Schema:
    """The content of a response: a JSON object with these properties."""
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return {"application/json": {"schema": schema}}


def text_content(example: str) -> Schema:
    """The content of a response: plain text."""
    return {"text/plain": {"schema": {"type": "string"}, "example": example}}
