"""Published model classes as data (``layouts.toml``): what they store under a given configuration."""

from __future__ import annotations

import ast
import re
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from apograph.release.static_model.arithmetic import arithmetic
from apograph.release.static_model.layers import shape_of
from apograph.release.static_model.values import UNKNOWN, Config, Net, Value

MOST_LAYERS = 2_000
_LINE = re.compile(r"(?P<name>[^:]+):(?P<shape>[^;]+)(?:; if (?P<switch>\w+))?")


@cache
def layouts() -> dict[str, dict[str, Any]]:
    """The table, with ``like`` resolved."""
    table = tomllib.loads((files(__package__) / "layouts.toml").read_text("utf-8"))
    for name, entry in table.items():
        if "like" in entry:
            other = table[entry["like"]]
            table[name] = {**other, **entry, "config": {**other["config"], **entry.get("config", {})}}
    return table


def published(name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Net | None:
    """The module that a published class makes; None for a class that is not in the table, or that was given
    neither a configuration nor its arguments. Values that are not known leave shapes or numbers open."""
    entry = layouts().get(name)
    if entry is None:
        return None
    if "arguments" in entry:
        given: dict[str, Value] = dict(zip(entry["arguments"], args, strict=False)) | kwargs
        return _build(name, given, None)
    config = args[0] if args else kwargs.get("config")
    if not isinstance(config, Config):
        return None
    return _build(name, config.data, config)


def settings_of(name: str, given: dict[str, Value]) -> dict[str, Value]:
    """The values that decide a published class's layout: as given, else the public defaults, else derived."""
    entry = layouts()[name]
    values = {**entry.get("config", {}), **{k: v for k, v in given.items() if v is not None}}
    for key, expression in entry.get("derived", {}).items():
        if key not in values:
            values[key] = _evaluate(expression, values)
    return values


def _build(name: str, given: dict[str, Value], config: Config | None) -> Net:
    entry = layouts()[name]
    net = Net(name)
    for part, other in entry.get("include", {}).items():
        net.children[part] = _build(other, given, config)
        given = {**settings_of(other, given), **given}
    values = settings_of(name, given)
    for line in entry["tensors"]:
        match = _LINE.fullmatch(line)
        assert match is not None
        if match["switch"] and not values.get(match["switch"]):
            continue
        shape = tuple(_evaluate(e.strip(), values) for e in match["shape"].split(","))
        _store(net, match["name"].split("."), shape_of(*shape), values)
    for path, key in entry.get("attributes", {}).items():
        _descend(net, path.split(".")[:-1]).attributes[path.rpartition(".")[2]] = values.get(key, UNKNOWN)
    if config is not None:
        net.attributes["config"] = config
    return net


def _store(net: Net, path: list[str], shape: tuple[int, ...] | None, values: dict[str, Value]) -> None:
    for position, part in enumerate(path[:-1]):
        if part.startswith("{"):
            count = values.get(part[1:-1], UNKNOWN)
            net.sequence = True
            if not isinstance(count, int) or not 0 <= count <= MOST_LAYERS:
                net.open = True
                return
            for number in range(count):
                _store(
                    net.children.setdefault(str(number), Net("layer")), path[position + 1 :], shape, values
                )
            return
        net = net.children.setdefault(part, Net(part))
    net.parameters[path[-1]] = shape


def _descend(net: Net, path: list[str]) -> Net:
    for part in path:
        net = net.children.setdefault(part, Net(part))
    return net


def _evaluate(expression: str, values: dict[str, Value]) -> Value:
    def value(node: ast.expr) -> Value:
        if isinstance(node, ast.BinOp):
            return arithmetic(node.op, value(node.left), value(node.right))
        if isinstance(node, ast.Name):
            return values.get(node.id, UNKNOWN)
        assert isinstance(node, ast.Constant)
        return node.value

    return value(ast.parse(expression, mode="eval").body)
