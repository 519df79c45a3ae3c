"""Statements made about a model, read strictly from a TOML or JSON file (``--claims``; docs/claims.md)."""

from __future__ import annotations

import json
import tomllib
from datetime import date, datetime
from pathlib import Path
from typing import Any

from apograph.findings import Json, Message, Refusal

LARGEST = 1 << 20
MOST_CLAIMS = 500
KINDS: dict[str, tuple[type, ...]] = {
    "num_layers": (int,),
    "hidden_size": (int,),
    "num_heads": (int,),
    "parameter_count": (int, float),
    "queries": (int,),
    "vocabulary_size": (int,),
    "context_length": (int,),
    "attention_type": (str,),
    "activation": (str,),
    "vision_encoder": (str,),
    "trained_from_scratch": (bool,),
    "released_on": (str,),
    "training_cost": (int, float, dict),
    "license": (str,),
    "base_model": (str,),
    "tokenizer_origin": (str,),
}
"""Every property that can be judged, and the types of its value."""
COST_FIELDS = frozenset({"usd", "tokens", "flops_per_second", "usd_per_hour"})
_FIELDS = frozenset({"property", "value", "where", "date", "side", "part"})


def read_claims(path: str) -> tuple[dict[str, Json], ...]:
    """The claims of a file, each with ``property``, ``value``, ``where``, ``side`` and, if given, ``date``
    (ISO 8601) and ``part``.

    Raises Refusal 2 when the file cannot be read, Refusal 4 for anything that is not exactly as documented.
    """
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise Refusal(2, Message("claims.file.unreadable", {"reason": error.strerror or "?"}), path) from None
    if len(data) > LARGEST:
        raise _refused("large", path)
    try:
        text = data.decode("utf-8")
        content = (
            json.loads(text, parse_constant=_no_constant) if path.endswith(".json") else tomllib.loads(text)
        )
    except (ValueError, RecursionError):
        raise _refused("syntax", path) from None
    if not isinstance(content, dict) or content.keys() != {"claim"} or not isinstance(content["claim"], list):
        raise _refused("shape", path)
    if len(content["claim"]) > MOST_CLAIMS:
        raise _refused("many", path, n=MOST_CLAIMS)
    return tuple(_claim(item, number, path) for number, item in enumerate(content["claim"], 1))


def _claim(item: Any, number: int, path: str) -> dict[str, Json]:
    if not isinstance(item, dict):
        raise _refused("shape", path)
    for field in item.keys() - _FIELDS:
        raise _refused("field", path, field=str(field), n=number)
    for field in ("property", "value", "where"):
        if field not in item:
            raise _refused("missing", path, field=field, n=number)
    name, value = item["property"], _plain(item["value"])
    if name not in KINDS:
        raise _refused("property", path, field=str(name), n=number)
    if not isinstance(value, KINDS[name]) or (isinstance(value, bool) and bool not in KINDS[name]):
        raise _refused("value", path, field=name, n=number)
    if isinstance(value, dict) and not _is_cost(value):
        raise _refused("value", path, field=name, n=number)
    if name == "attention_type" and value not in ("self", "cross"):
        raise _refused("value", path, field=name, n=number)
    if name == "released_on" and not _is_date(value):
        raise _refused("value", path, field=name, n=number)
    claim: dict[str, Any] = {"property": name, "value": value, "side": item.get("side", "candidate")}
    if claim["side"] not in ("reference", "candidate"):
        raise _refused("value", path, field="side", n=number)
    for field in ("where", "part", "date"):
        if field in item:
            claim[field] = _plain(item[field])
            if not isinstance(claim[field], str) or (field == "date" and not _is_date(claim[field])):
                raise _refused("value", path, field=field, n=number)
    return claim


def _plain(value: Any) -> Any:
    return value.isoformat()[:10] if isinstance(value, date | datetime) else value


def _is_date(value: Any) -> bool:
    try:
        date.fromisoformat(value)
    except (TypeError, ValueError):
        return False
    return True


def _is_cost(value: dict[str, Any]) -> bool:
    return (
        "usd" in value
        and value.keys() <= COST_FIELDS
        and all(isinstance(v, int | float) and not isinstance(v, bool) and v > 0 for v in value.values())
    )


def _no_constant(text: str) -> None:
    raise ValueError(text)


def _refused(kind: str, path: str, **params: str | int) -> Refusal:
    return Refusal(4, Message(f"claims.file.{kind}", params), path)
