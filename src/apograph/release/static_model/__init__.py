"""A static, symbolic reading of modelling code: what it would build and store, and why it could not run.

Nothing is imported or executed. The sources are parsed (bounded, see ``source``), the constructors of the
entry class are read on symbolic values (``reader``), and everything that is not understood stays unknown:
an unknown part is never reported as missing or as superfluous.

:func:`read_model` is called in the limited worker: plain JSON in, plain JSON out.
"""

from __future__ import annotations

import ast
from collections.abc import Mapping
from typing import Any

from apograph.release.static_model import uses
from apograph.release.static_model.attention import attentions
from apograph.release.static_model.faults import Fault, fault, faults_of
from apograph.release.static_model.layouts import published
from apograph.release.static_model.members import has_method, is_module
from apograph.release.static_model.project import Project
from apograph.release.static_model.source import Source, Unreadable, parse
from apograph.release.static_model.structure import Structure, collect, structure
from apograph.release.static_model.values import Config

_MODELS = ("AutoModelForCausalLM", "AutoModelForConditionalGeneration", "AutoModelForVision2Seq", "AutoModel")


def read_model(sources: Mapping[str, str], paths: list[str], configs: Mapping[str, Any]) -> dict[str, Any]:
    """Read a release's code. ``sources``: text of the Python files by path; ``paths``: all files of the
    release (a file whose content is absent is not missing); ``configs``: the JSON configurations by path,
    that of the tokenizer included.

    Returns ``files`` (how many were read), ``unread`` (path, kind, line), ``entries`` (role, path, class,
    from), ``named`` (files of all entries), ``faults`` (see ``faults``), ``model`` (see ``_model``; None
    without an entry class that could be read), ``reached`` (paths that the entries import) and the rows of
    ``uses`` and ``attention``.
    """
    parsed: dict[str, Source] = {}
    unread: list[dict[str, Any]] = []
    for path, text in sorted(sources.items()):
        try:
            parsed[path] = parse(path, text.removeprefix("\ufeff"))
        except Unreadable as problem:
            unread.append({"path": path, "kind": problem.args[0], "line": problem.args[1]})
    project = Project(parsed, [*paths, *sources])
    entries, faults, named = _entries(project, configs)
    starts = [e["path"] for e in entries]
    read = project.closure(starts) if named else list(parsed.values())
    texts = {path: text.removeprefix("\ufeff") for path, text in sources.items()}
    faults += faults_of(project, read, texts, remote=bool(named))
    reached = {s.path for s in read}
    faults += [
        fault("syntax", u["path"], u["line"], "", "load")
        for u in unread
        if u["kind"] == "syntax" and (not named or u["path"] in named or _imported(project, read, u["path"]))
    ]
    model = _model(project, entries, configs)
    if model is not None:
        faults += model.pop("faults")
    distinct = {(f["path"], f["line"], f["kind"], f["name"]): f for f in faults}
    return {
        "files": len(read),
        "unread": unread,
        "entries": entries,
        "named": named,
        "faults": [distinct[key] for key in sorted(distinct)],
        "model": model,
        "reached": sorted(reached),
        "cuts": uses.cuts(read),
        "queries": uses.query_literals(project, read if starts else parsed.values())
        + (
            uses.query_literals(project, [s for p, s in parsed.items() if p not in reached]) if starts else []
        ),
        "query_defaults": uses.query_defaults(parsed.values()),
        "unbuilt": uses.unbuilt(project, read),
        "tokens": uses.special_tokens(read),
        "activations": uses.activations(project, parsed.values()),
        "attention": attentions(project, parsed.values()),
    }


def _imported(project: Project, read: list[Source], path: str) -> bool:
    stem = path.removesuffix(".py").removesuffix("/__init__")
    return any(project.module(s, e)[0] == stem for s in read for e in s.imports)


def _entries(
    project: Project, configs: Mapping[str, Any]
) -> tuple[list[dict[str, str]], list[Fault], list[str]]:
    """The classes that ``auto_map`` entries name, those entries that name what the release lacks, and all
    files that they name."""
    entries: list[dict[str, str]] = []
    faults: list[Fault] = []
    named: set[str] = set()
    for origin, config in sorted(configs.items()):
        auto_map = config.get("auto_map") if isinstance(config, dict) else None
        for role, value in sorted(auto_map.items()) if isinstance(auto_map, dict) else ():
            for target in value if isinstance(value, list) else [value]:
                if not isinstance(target, str) or "--" in target or "." not in target:
                    continue
                module, _, name = target.rpartition(".")
                folder = origin.rpartition("/")[0]
                path = f"{folder}/{module}.py".lstrip("/")
                named.add(path)
                source = project.sources.get(path)
                if source is not None and name in source.bound:
                    entries.append({"role": role, "path": path, "class": name, "from": origin})
                elif source is not None and not source.stars:
                    faults.append(fault("missing_class", origin, 0, target, "load", path))
                elif path not in project.paths:
                    faults.append(fault("missing_entry", origin, 0, target, "load", path))
    return entries, faults, sorted(named)


def _model(
    project: Project, entries: list[dict[str, str]], configs: Mapping[str, Any]
) -> dict[str, Any] | None:
    """What the entry class builds: ``tensors`` [name, shape, optional], ``opens``, ``lists``, ``cuts``,
    ``parts`` and ``settings`` (see ``structure.Structure``); its path, class, line and faults."""
    by_role = {e["role"]: e for e in reversed(entries)}
    entry = next((by_role[r] for r in _MODELS if r in by_role), None)
    if entry is None:
        entry = next((e for e in entries if e["role"].startswith("AutoModel")), None)
    if entry is None:
        return _published(configs)
    symbol = project.resolve(project.sources[entry["path"]], entry["class"])
    if symbol is None or symbol.source is None or not isinstance(symbol.node, ast.ClassDef):
        return None
    source, node = symbol.source, symbol.node
    faults: list[Fault] = []
    if is_module(project, source, node) and has_method(project, source, node, "forward") is False:
        faults.append(fault("no_forward", source.path, node.lineno, node.name, "call"))
    faults += [fault("stub", r["path"], r["line"], r["name"], "note") for r in uses.stubs(source, node)]
    for row in uses.held_functions(project, source, node):
        faults.append(fault("held_function", row["path"], row["line"], row["name"], "note", row["attribute"]))
    config_entry = by_role.get("AutoConfig")
    config = (project.sources[config_entry["path"]], config_entry["class"]) if config_entry else None
    data = configs.get(entry["from"], {})
    built = structure(project, (source, node.name), config, data)
    return _described(built, {"path": source.path, "class": node.name, "line": node.lineno, "faults": faults})


def _published(configs: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a configuration without code of its own means, when its class is one of ``layouts``."""
    for path in sorted(configs, key=lambda p: (p.count("/"), p)):
        config = configs[path]
        names = config.get("architectures") if isinstance(config, dict) else None
        if isinstance(names, list) and names and isinstance(names[0], str) and "auto_map" not in config:
            settings = Config({k: v for k, v in config.items() if isinstance(k, str)})
            net = published(names[0], (settings,), {})
            if net is not None:
                place = {"path": path, "class": names[0], "line": 0, "faults": []}
                return _described(collect(net, settings), place)
    return None


def _described(built: Structure | None, place: dict[str, Any]) -> dict[str, Any]:
    if built is None:
        return {**place, "tensors": None}
    return {
        **place,
        "tensors": [[n, None if s is None else list(s), o] for n, s, o in built.tensors],
        "opens": built.opens,
        "lists": built.lists,
        "cuts": built.cuts,
        "parts": built.parts,
        "settings": built.settings,
    }
