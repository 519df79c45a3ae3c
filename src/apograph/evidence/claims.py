"""Public statements about a model, each judged: supported, contradicted or not checkable, and by which place.

The statements come from ``--claims`` and from the model cards' own declarations (base_model, license).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

from apograph.evidence.claim_code import activation, attention, vision_encoder
from apograph.evidence.claim_facts import Facts, Verdict
from apograph.evidence.claim_file import read_claims
from apograph.evidence.claim_numbers import KEYS, cost, image_queries, parameters, size
from apograph.evidence.claim_origin import (
    base_model,
    declared_bases,
    licence,
    released,
    scratch,
    tokenizer_origin,
)
from apograph.evidence.own_code import side_of
from apograph.evidence.registry import Case, examiner
from apograph.findings import SIDES, Bearing, Exhibit, Finding, Json, Message, Side, Unexamined

__all__ = ["judge", "read_claims", "statements"]


@examiner("claims")
def statements(case: Case) -> Iterator[Finding | Unexamined]:
    """One finding per statement."""
    facts = {side: Facts(case, side) for side in SIDES}
    seen: Counter[str] = Counter()
    for claim in (*case.claims, *_declared(case)):
        side: Side = "reference" if claim.get("side") == "reference" else "candidate"
        name = str(claim["property"])
        seen[name] += 1
        yield _finding(claim, side, judge(claim, facts[side]), seen[name])


def judge(claim: dict[str, Any], facts: Facts) -> Verdict:
    """The verdict on one claim (a dictionary as ``read_claims`` returns them)."""
    name, value, part = claim["property"], claim["value"], str(claim.get("part", ""))
    if name in KEYS:
        return size(facts, name, int(value), part)
    if name in ("attention_type", "activation"):
        return (attention if name == "attention_type" else activation)(facts, value, part)
    judges: dict[str, Any] = {
        "parameter_count": parameters,
        "queries": image_queries,
        "vision_encoder": vision_encoder,
        "trained_from_scratch": scratch,
        "released_on": released,
        "training_cost": cost,
        "license": licence,
        "base_model": base_model,
        "tokenizer_origin": tokenizer_origin,
    }
    verdict: Verdict = judges[name](facts, value)
    return verdict


def _declared(case: Case) -> Iterator[dict[str, Json]]:
    """What the model cards themselves declare."""
    for side in SIDES:
        release = side_of(case, side)
        if release.card is None:
            continue
        for base in declared_bases(release):
            yield {"property": "base_model", "value": base, "where": release.card.path, "side": side}
        named = release.card.declared.get("license")
        if isinstance(named, str):
            yield {"property": "license", "value": named, "where": release.card.path, "side": side}


def _finding(claim: dict[str, Json], side: Side, verdict: Verdict, number: int) -> Finding:
    name, value = str(claim["property"]), _shown(claim["value"])
    row: list[Json] = [
        str(claim.get("where", "")),
        name + (f" ({claim['part']})" if claim.get("part") else ""),
        value,
        {"key": f"claims.outcome.{verdict.outcome}", "params": {}},
        {"key": verdict.reason.key, "params": dict(verdict.reason.params)},
    ]
    columns: list[Json] = [f"claims.{c}" for c in ("where", "property", "value", "outcome", "reading")]
    return Finding(
        id=f"claims.{name}" if number == 1 else f"claims.{name}:{number}",
        channel="claims",
        message=Message(
            f"claims.{verdict.outcome}",
            {"side": side, "property": name, "value": value, "where": str(claim.get("where", ""))},
        ),
        bearing=Bearing.SUPPORTING if verdict.outcome == "contradicted" else Bearing.CONTEXT,
        exhibits=(Exhibit("table", {"columns": columns, "rows": [row]}, Message("claims.caption")),),
        locations=verdict.locations,
        alternatives=tuple(Message(f"claims.alternative.{k}") for k in ("error", "other"))
        if verdict.outcome == "contradicted"
        else (),
        limits=(Message("claims.limit.forged"),)
        if name == "released_on"
        else (Message("claims.limit.static"),),
    )


def _shown(value: Json) -> str:
    if isinstance(value, dict):
        return ", ".join(
            f"{k} = {v:g}" if isinstance(v, int | float) else f"{k} = {v}" for k, v in value.items()
        )
    return str(value)
