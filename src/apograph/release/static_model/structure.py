"""What the entry class of a release stores, by its own code and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from apograph.release.static_model.evaluate import Exhausted, walk
from apograph.release.static_model.project import Project
from apograph.release.static_model.reader import Reader
from apograph.release.static_model.source import Source
from apograph.release.static_model.values import Class, Config, Net, Shape

MOST_NAMES = 200_000


@dataclass(slots=True)
class Structure:
    """``tensors``: (name, shape, optional). ``opens``: (prefix, what was built there) of modules that may
    hold more than was read. ``lists``: prefix of a numbered list to its length. ``cuts``: (prefix, slice,
    path, line).
    """

    tensors: list[tuple[str, Shape, bool]] = field(default_factory=list)
    opens: list[tuple[str, str]] = field(default_factory=list)
    lists: dict[str, int] = field(default_factory=dict)
    cuts: list[tuple[str, str, str, int]] = field(default_factory=list)
    parts: list[tuple[str, str, str]] = field(default_factory=list)
    """(prefix, class, file) of every module whose class the release defines."""
    settings: dict[str, Any] = field(default_factory=dict)
    """The plain values of the configuration object that the code ends up with."""


def structure(
    project: Project, model: tuple[Source, str], config: tuple[Source, str] | None, data: Mapping[str, Any]
) -> Structure | None:
    """Build the entry class symbolically with its configuration; None when the class is not to be found or
    the budget is used up."""
    reader = Reader(project)
    source, name = model
    if name not in source.classes:
        return None
    try:
        made = configuration(reader, config, data)
        net = reader.construct(Class(source, source.classes[name]), (made,), {}, (source.path, 0))
    except (Exhausted, RecursionError):
        return None
    if not isinstance(net, Net):
        return None
    return collect(net, made)


def configuration(reader: Reader, config: tuple[Source, str] | None, data: Mapping[str, Any]) -> Config:
    """The configuration object: its class run on the values of config.json."""
    if config is None or config[1] not in config[0].classes:
        return Config(dict(data))
    source, name = config
    made = reader.construct(Class(source, source.classes[name]), (), dict(data), (source.path, 0))
    return made if isinstance(made, Config) else Config(dict(data))


def collect(net: Net, config: Config) -> Structure:
    """Flatten a module into the names that its state dictionary has."""
    found = Structure()
    tied = bool(config.data.get("tie_word_embeddings"))
    optional_prefixes: list[str] = []
    for prefix, part in walk(net):
        optional = prefix.startswith(tuple(optional_prefixes)) if optional_prefixes else False
        for name, shape in part.parameters.items():
            last = f"{prefix}{name}"
            loose = optional or name in part.optional or (tied and last.endswith("lm_head.weight"))
            found.tensors.append((last, shape, loose))
            if len(found.tensors) > MOST_NAMES:
                return Structure()
        optional_prefixes += [f"{prefix}{c}." for c in part.children if c in part.optional]
        if part.open:
            found.opens.append((prefix, part.kind))
        if part.sequence and not part.open and part.children:
            found.lists[prefix] = len(part.children)
        found.cuts += [(prefix, text, *part.place) for text in part.cuts]
        if part.cls is not None:
            found.parts.append((prefix, part.cls.node.name, part.cls.source.path))
    found.settings = {k: v for k, v in config.data.items() if isinstance(v, bool | int | float | str)}
    return found
