"""Claims about where a model comes from: base, tokenizer, licence, date, training from nothing."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime

from apograph.evidence.claim_facts import Facts, Verdict
from apograph.evidence.own_code import config_path, side_of
from apograph.findings import SIDES, Json, Location, Message, Param
from apograph.release.types import Release

LICENCES = {
    "apache-2.0": r"Apache License,?\s+Version 2\.0",
    "mit": r"Permission is hereby granted, free of charge, to any person obtaining a copy",
    "bsd-3-clause": r"Neither the name of .{1,200} nor the names of its\s+contributors",
    "gpl-3.0": r"GNU GENERAL PUBLIC LICENSE\s+Version 3",
    "llama3": r"META LLAMA 3 COMMUNITY LICENSE",
    "llama2": r"LLAMA 2 COMMUNITY LICENSE",
    "cc-by-nc-4.0": r"Attribution-NonCommercial 4\.0 International",
    "cc-by-4.0": r"Creative Commons Attribution 4\.0 International",
}
"""A sentence by which the text of a licence is known, by the id that model cards use."""
HEADER = 4096
"""Characters of a source in which a licence notice is looked for."""


def licence(facts: Facts, value: str) -> Verdict:
    """A declared licence against the licence files and the notices in the sources."""
    found: dict[str, list[Location]] = {}
    for file in facts.release.files:
        name = file.name.lower()
        is_licence = re.match(r"(licen[cs]e|copying)", name) is not None
        if not is_licence and not name.endswith(".py"):
            continue
        text = (facts.release.read(file.path) or b"").decode("utf-8", "replace")
        for spdx, sentence in LICENCES.items():
            if re.search(sentence, text if is_licence else text[:HEADER], re.IGNORECASE | re.DOTALL):
                key = spdx if is_licence else f"{spdx} (source)"
                found.setdefault(key, []).append(facts.place(file.path))
    declared = value.lower()
    files = {k: v for k, v in found.items() if not k.endswith("(source)")}
    params: dict[str, Param] = {"seen": ", ".join(f"{k}: {len(v)}" for k, v in sorted(found.items()))}
    places = tuple(place for list_ in found.values() for place in list_)[:12]
    if declared in files:
        return Verdict("supported", Message("claims.reason.licence_file", params), places)
    if files and declared in LICENCES:
        return Verdict("contradicted", Message("claims.reason.licence_other", params), places)
    if found:
        return Verdict("unchecked", Message("claims.reason.licence_source", params), places)
    return facts.unchecked("no_licence")


def declared_bases(release: Release) -> list[str]:
    """The base models that a model card declares."""
    value: Json = release.card.declared.get("base_model") if release.card else None
    values = value if isinstance(value, list) else [value]
    return [v for v in values if isinstance(v, str)]


def scratch(facts: Facts, value: bool) -> Verdict:
    """Trained from nothing: the card's own base_model speaks against it; nothing static speaks for it."""
    bases = declared_bases(facts.release)
    if not bases or facts.release.card is None:
        return facts.unchecked("scratch")
    reason = Message("claims.reason.declared_base", {"seen": ", ".join(bases)})
    return Verdict("contradicted" if value else "supported", reason, (facts.place(facts.release.card.path),))


def base_model(facts: Facts, value: str) -> Verdict:
    """A declared base: named by the release's own configuration, or one of the releases compared."""
    wanted = _squeeze(value.rpartition("/")[2])
    named = facts.release.config.get("_name_or_path")
    if isinstance(named, str) and len(wanted) > 3 and wanted in _squeeze(named):
        reason = Message("claims.reason.stated", {"seen": f"_name_or_path = {named}"})
        return Verdict("supported", reason, (facts.place(config_path(facts.release)),))
    other = side_of(facts.case, SIDES[1 - SIDES.index(facts.side)])
    for release in (*facts.case.bases, *facts.case.claimed, other):
        if len(wanted) > 3 and wanted in _squeeze(_name(release)):
            if _same_tokens(facts.release, release):
                return Verdict("supported", Message("claims.reason.base_tokens", {"name": _name(release)}))
            return facts.unchecked("base_weights", name=_name(release))
    return facts.unchecked("base_absent", name=value)


def tokenizer_origin(facts: Facts, value: str) -> Verdict:
    """Where a tokenizer is said to come from: are its added tokens those of that release, or has it others,
    which the other side has too?"""
    mine = facts.release.tokenizer
    if mine is None:
        return facts.unchecked("no_tokenizer")
    wanted = _squeeze(value.rpartition("/")[2])
    origin = next((r for r in (*facts.case.bases, *facts.case.claimed) if wanted in _squeeze(_name(r))), None)
    if origin is None or origin.tokenizer is None:
        return facts.unchecked("base_absent", name=value)
    own, theirs = _added(facts.release), _added(origin)
    other = side_of(facts.case, SIDES[1 - SIDES.index(facts.side)])
    beyond = own - theirs
    place = (facts.place(mine.files[0]),) if mine.files else ()
    if not beyond:
        return Verdict("supported", Message("claims.reason.tokens_same", {"n": len(own)}), place)
    shared = beyond & _added(other)
    params: dict[str, Param] = {
        "n": len(beyond),
        "shared": len(shared),
        "examples": ", ".join(sorted(t for t, _ in beyond)[:4]),
    }
    return Verdict("contradicted", Message("claims.reason.tokens_more", params), place)


def released(facts: Facts, value: str) -> Verdict:
    """A stated day of release against the first commit, whose date can be forged."""
    history = facts.release.history
    if history is None or not history.commits:
        return facts.unchecked("no_history")
    first = datetime.fromtimestamp(history.commits[0].time, UTC).date()
    stated = date.fromisoformat(value)
    params: dict[str, Param] = {"first": first.isoformat(), "days": abs((first - stated).days)}
    place = (Location(facts.side, "", history.commits[0].id),)
    if (first - stated).days > 1:
        return Verdict("contradicted", Message("claims.reason.later", params), place)
    return Verdict("supported", Message("claims.reason.earlier", params), place)


def _added(release: Release) -> set[tuple[str, int]]:
    return {(t.content, t.id) for t in release.tokenizer.added} if release.tokenizer else set()


def _same_tokens(a: Release, b: Release) -> bool:
    return bool(_added(a)) and _added(a) == _added(b)


def _name(release: Release) -> str:
    own = release.config.get("_name_or_path")
    return own if isinstance(own, str) and own else release.ref


def _squeeze(text: str) -> str:
    return re.sub(r"[^a-z0-9]", "", text.lower())
