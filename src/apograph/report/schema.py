"""The published JSON Schema (2020-12) of a saved report, derived from the result types themselves."""

from __future__ import annotations

import inspect
import types
from collections.abc import Mapping
from dataclasses import is_dataclass
from enum import Enum
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from apograph.findings import Report
from apograph.report.json_format import HASH
from apograph.weigh.examine import SCHEMA_VERSION

_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    type(None): {"type": "null"},
    Any: {},
}


def schema() -> dict[str, Any]:
    """The schema as plain data; ``docs/report.schema.json`` is this, and a test keeps them equal."""
    definitions: dict[str, Any] = {}
    _of(Report, definitions)
    top = definitions.pop("Report")
    top["properties"]["schema_version"] = {"const": SCHEMA_VERSION}
    top["properties"][HASH] = {
        "type": "string",
        "pattern": "^[0-9a-f]{64}$",
        "description": "SHA-256 over the other fields as compact ASCII JSON with sorted keys.",
    }
    top["required"].append(HASH)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Apograph report",
        **top,
        "$defs": dict(sorted(definitions.items())),
    }


def _of(kind: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    if kind in _SCALARS:
        return dict(_SCALARS[kind])
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return {"anyOf": [_of(option, definitions) for option in get_args(kind)]}
    if origin is Literal:
        return {"enum": list(get_args(kind))}
    if origin is tuple:
        return _of_tuple(get_args(kind), definitions)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return {"type": "object", "additionalProperties": _of(get_args(kind)[1], definitions)}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return {"enum": [member.value for member in kind], "description": inspect.getdoc(kind)}
    if not (isinstance(kind, type) and is_dataclass(kind)):
        raise TypeError(f"{kind} has no place in a report")
    if kind.__name__ not in definitions:
        definitions[kind.__name__] = {}
        definitions[kind.__name__] = _of_dataclass(kind, definitions)
    return {"$ref": f"#/$defs/{kind.__name__}"}


def _of_tuple(items: tuple[Any, ...], definitions: dict[str, Any]) -> dict[str, Any]:
    if len(items) == 2 and items[1] is ...:
        return {"type": "array", "items": _of(items[0], definitions)}
    prefix = [_of(item, definitions) for item in items]
    return {"type": "array", "prefixItems": prefix, "minItems": len(items), "maxItems": len(items)}


def _of_dataclass(kind: type, definitions: dict[str, Any]) -> dict[str, Any]:
    properties = {name: _of(hint, definitions) for name, hint in get_type_hints(kind).items()}
    return {
        "type": "object",
        "description": inspect.getdoc(kind),
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
