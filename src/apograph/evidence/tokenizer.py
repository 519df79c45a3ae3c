"""Tokenizers: added tokens, vocabulary and merges, settings and template."""

from __future__ import annotations

from collections.abc import Iterator
from math import lgamma, log

from apograph.evidence.explain import Explained, cell, explained
from apograph.evidence.identities import current, shared_contents
from apograph.evidence.jsons import canonical, dotted, leaves, shown
from apograph.evidence.registry import Case, Part, examiner
from apograph.evidence.tokens import SharedTokens, Token, both, places, shared_tokens, tokens
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Json,
    Location,
    Measure,
    Message,
    Strength,
    Unexamined,
)
from apograph.release.types import Tokenizer

FEW = 3
"""Fewer tokens of one's own are no innovation that could not be anybody's."""
LINEAGE = 0.5
"""A base that has this share of what the two sides share is an ancestor of their tokenizer."""
VOCABULARY_FILES = ("tokenizer.json", "vocab.json", "tokenizer.model", "vocab.txt", "merges.txt")
_APART = ("added_tokens_decoder", "auto_map", "added_tokens")


@examiner("tokenizer", needs=Part.TOKENIZER)
def added_tokens(case: Case) -> Iterator[Finding | Unexamined]:
    """Added and special tokens with their ids, what a base has set aside."""
    a, b = both(case)
    known = explained(case, lambda r: tokens(r.tokenizer) if r.tokenizer is not None else ())
    shared = shared_tokens(a, b, {t: known.holds(t) for t in tokens(a) & tokens(b)})
    ancestor = len(shared.equal & known.base) >= LINEAGE * max(1, len(shared.equal))
    distinctive = shared.replaced >= FEW or (ancestor and len(shared.telling) >= FEW)
    supporting = len(shared.telling) >= FEW
    kind = (
        ("filling" if shared.replaced >= FEW else "beyond" if distinctive else "telling")
        if supporting or distinctive
        else "explained"
        if shared.equal
        else "none"
    )
    bearing = Bearing.DISTINCTIVE if distinctive else Bearing.SUPPORTING if supporting else Bearing.CONTEXT
    limits = [Message("tokenizer.added.no_ancestor")] if supporting and not ancestor else []
    words = {
        content for r in (*case.bases, *case.claimed) if r.tokenizer for content, _ in tokens(r.tokenizer)
    }
    if elsewhere := sum(content in words for content, _ in shared.telling):
        limits.append(Message("tokenizer.added.elsewhere", {"n": elsewhere}))
    yield Finding(
        id="tokenizer.added",
        channel="tokenizer",
        message=Message(
            f"tokenizer.added.{kind}",
            {
                "n": len(shared.telling),
                "equal": len(shared.equal),
                "replaced": shared.replaced,
                "list": " ".join(content for content, _ in (shared.filling or shared.telling)[:6]),
            },
        ),
        bearing=bearing,
        strength=Strength("descriptive" if supporting or distinctive else "none"),
        measures=_added_measures(shared, known),
        exhibits=_added_exhibit(a, b, shared, known),
        locations=places(case),
        alternatives=(
            Message("tokenizer.alternative.ancestor"),
            Message("tokenizer.alternative.third"),
            Message("tokenizer.alternative.open"),
        )
        if shared.equal
        else (),
        limits=(*limits, *known.limits(shared.equal)),
    )


def _added_measures(shared: SharedTokens, known: Explained[Token]) -> tuple[Measure, ...]:
    orders = lgamma(len(shared.telling) + 1) / log(2)
    return (
        Measure("tokenizer.equal", len(shared.equal)),
        Measure("tokenizer.moved", len(shared.moved)),
        Measure("tokenizer.reference_only", len(shared.reference_only)),
        Measure("tokenizer.candidate_only", len(shared.candidate_only)),
        Measure("tokenizer.placeholders", len(shared.placeholders), n=len(shared.equal)),
        Measure("tokenizer.telling", len(shared.telling), n=len(shared.equal)),
        Measure("tokenizer.replaced", shared.replaced, n=len(shared.filling)),
        Measure("tokenizer.orders", round(orders, 1), "bits", n=len(shared.telling)),
        *known.measures(shared.equal),
    )


def _added_exhibit(
    a: Tokenizer, b: Tokenizer, shared: SharedTokens, known: Explained[Token]
) -> tuple[Exhibit, ...]:
    """All tokens but shared placeholders: telling ones first, then by id."""
    rows: list[Json] = []
    ids = [{content: place for content, place in tokens(side)} for side in (a, b)]  # noqa: C416
    telling, filling = set(shared.telling), set(shared.filling)

    def order(content: str) -> tuple[bool, int, str]:
        place = ids[0].get(content, ids[1].get(content, 0))
        return (content, place) not in telling, place, content

    for content in sorted(ids[0].keys() | ids[1].keys(), key=order):
        token = content, ids[0].get(content, ids[1].get(content, 0))
        if token in shared.placeholders:
            continue
        if token in shared.equal:
            status = cell(f"tokenizer.status.{'filling' if token in filling else 'equal'}")
        else:
            status = cell(f"tokenizer.status.{'moved' if content in shared.moved else 'one'}")
        rows.append([content, ids[0].get(content), ids[1].get(content), known.cell(token), status])
    columns = ["value", "reference", "candidate", "explained", "status"]
    caption = Message("tokenizer.added.caption", {"n": len(shared.placeholders)})
    return (Exhibit("table", {"columns": columns, "rows": rows}, caption),) if rows else ()


@examiner("tokenizer", needs=Part.TOKENIZER)
def vocabulary(case: Case) -> Iterator[Finding | Unexamined]:
    """The trained vocabulary and its merges; by object id where the content is not published."""
    a, b = both(case)
    if a.vocab is None or b.vocab is None:
        for side, tokenizer in (("reference", a), ("candidate", b)):
            if tokenizer.vocab is None:
                yield Unexamined("tokenizer", Message("tokenizer.vocabulary.absent"), side)
        yield from _by_identity(case)
        return
    known = explained(case, lambda r: (r.tokenizer.vocab or {}).items() if r.tokenizer is not None else ())
    equal = [token for token in a.vocab.items() if b.vocab.get(token[0]) == token[1]]
    common = len(a.vocab.keys() & b.vocab.keys())
    beyond = len(known.beyond(equal))
    ancestor = bool(equal) and len(equal) - beyond >= LINEAGE * len(equal)
    smaller = max(1, min(len(a.vocab), len(b.vocab)))
    alike = len(equal) >= 0.9 * smaller
    distinctive = ancestor and beyond >= FEW
    kind = (
        "same"
        if a.vocab == b.vocab
        else "part"
        if common == smaller and len(equal) == common
        else "reordered"
        if common == smaller
        else "some"
        if common
        else "none"
    )
    yield Finding(
        id="tokenizer.vocabulary",
        channel="tokenizer",
        message=Message(f"tokenizer.vocabulary.{kind}", {"n": common, "equal": len(equal), "beyond": beyond}),
        bearing=Bearing.DISTINCTIVE
        if distinctive
        else Bearing.SUPPORTING
        if alike and not ancestor
        else Bearing.CONTEXT,
        strength=Strength("descriptive" if distinctive else "none"),
        measures=(
            Measure("tokenizer.vocabulary_reference", len(a.vocab)),
            Measure("tokenizer.vocabulary_candidate", len(b.vocab)),
            Measure("tokenizer.vocabulary_common", common, n=smaller),
            Measure("tokenizer.vocabulary_equal", len(equal), n=smaller),
            *_merges(a, b),
            *known.measures(equal),
        ),
        locations=places(case),
        alternatives=(Message("tokenizer.alternative.ancestor"), Message("tokenizer.alternative.open"))
        if equal
        else (),
        limits=(Message("tokenizer.vocabulary.limit"), *known.limits(equal)),
    )


def _merges(a: Tokenizer, b: Tokenizer) -> Iterator[Measure]:
    """Merges in common, and how many at the beginning stand in the same order."""
    if a.merges is not None and b.merges is not None:
        least = max(1, min(len(a.merges), len(b.merges)))
        run = next((n for n, (x, y) in enumerate(zip(a.merges, b.merges, strict=False)) if x != y), None)
        yield Measure("tokenizer.merges_common", len(set(a.merges) & set(b.merges)), n=least)
        yield Measure(
            "tokenizer.merges_run", min(len(a.merges), len(b.merges)) if run is None else run, n=least
        )


def _by_identity(case: Case) -> Iterator[Finding]:
    """Vocabulary files that are equal by an identity although a side's content is absent."""
    sides = ([s for s in current(r) if s.name in VOCABULARY_FILES] for r in (case.reference, case.candidate))
    shared = [s for s in shared_contents(*sides) if not s.boilerplate]
    known = explained(case, lambda release: (i for state in current(release) for i in state.ids))
    beyond = [s for s in shared if not any(map(known.holds, s.ids))]
    if not shared:
        return
    first = (beyond or shared)[0]
    yield Finding(
        id="tokenizer.vocabulary",
        channel="tokenizer",
        message=Message(
            "tokenizer.vocabulary.by_id" if beyond else "tokenizer.vocabulary.by_id_explained",
            {"name": first.candidate[0].path, "id": max(first.ids).split(":")[1][:12]},
        ),
        bearing=Bearing.SUPPORTING if beyond else Bearing.CONTEXT,
        locations=(
            Location("reference", first.reference[0].path),
            Location("candidate", first.candidate[0].path),
        ),
        alternatives=(Message("tokenizer.alternative.ancestor"), Message("tokenizer.alternative.open")),
        limits=(Message("tokenizer.vocabulary.unseen"), *known.limits(i for s in beyond for i in s.ids)),
    )


@examiner("tokenizer", needs=Part.TOKENIZER)
def settings(case: Case) -> Iterator[Finding | Unexamined]:
    """Normaliser, pre-tokenizer, decoder, special roles, chat template and all other settings."""
    a, b = (_settings(t) for t in both(case))
    known = explained(case, lambda r: _settings(r.tokenizer).items() if r.tokenizer is not None else ())
    equal = [item for item in a.items() if b.get(item[0]) == item[1]]
    rows: list[Json] = []
    for key in sorted(a.keys() | b.keys(), key=lambda k: (k in a and a.get(k) == b.get(k), k)):
        status = (
            ("explained" if known.holds((key, a[key])) else "equal")
            if key in a and a.get(key) == b.get(key)
            else "changed"
            if key in a and key in b
            else "reference_only"
            if key in a
            else "candidate_only"
        )
        values = [shown(side[key]) if key in side else None for side in (a, b)]
        rows.append([key, *values, cell(f"config.status.{status}")])
    columns = ["key", "reference", "candidate", "status"]
    yield Finding(
        id="tokenizer.settings",
        channel="tokenizer",
        message=Message(
            "tokenizer.settings.some" if equal else "tokenizer.settings.none",
            {"n": len(equal), "all": len(a.keys() | b.keys())},
        ),
        strength=Strength("none"),
        measures=(Measure("tokenizer.settings_equal", len(equal), n=len(rows)), *known.measures(equal)),
        exhibits=(
            Exhibit("table", {"columns": columns, "rows": rows}, Message("tokenizer.settings.caption")),
        )
        if rows
        else (),
        locations=places(case),
        alternatives=(Message("tokenizer.alternative.ancestor"), Message("tokenizer.alternative.open"))
        if equal
        else (),
        limits=(Message("tokenizer.settings.limit"), *known.limits(equal)),
    )


def _settings(tokenizer: Tokenizer) -> dict[str, str]:
    """Every setting but the tokens themselves, as canonical text by dotted key."""
    parts: dict[str, Json] = {
        "special": dict(tokenizer.special),
        "parts": dict(tokenizer.parts),
        "config": {k: v for k, v in tokenizer.config.items() if k not in (*_APART, "chat_template")},
    }
    if tokenizer.chat_template is not None:
        parts["chat_template"] = tokenizer.chat_template
    filled = {name: part for name, part in parts.items() if part != {}}
    return {dotted(path): canonical(leaf) for path, leaf in leaves(filled).items() if path}
