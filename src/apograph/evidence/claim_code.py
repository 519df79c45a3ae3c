"""Claims about what the code does: kind of attention, activation, image tower."""

from __future__ import annotations

from typing import Any

from apograph.evidence.claim_facts import IMAGE, Facts, Verdict
from apograph.evidence.own_code import config_path
from apograph.evidence.own_layers import TOWERS
from apograph.findings import Message, Param


def _rows(facts: Facts, kind: str, part: str) -> list[dict[str, Any]]:
    """Rows of the static reading that concern a part: its name in the class or file, else the image path."""
    rows: list[dict[str, Any]] = facts.code[kind] if facts.code else []
    wanted = part.lower()
    named = [r for r in rows if wanted and wanted in f"{r['cls']} {r['path']}".lower()]
    if wanted in ("", "vision", "image"):
        named = [r for r in rows if IMAGE.search(f"{r['cls']} {r['path'].rpartition('/')[2]}".lower())]
    return named


def attention(facts: Facts, value: str, part: str) -> Verdict:
    """Self- or cross-attention, from where queries and keys come from in the forward pass."""
    rows = _rows(facts, "attention", part)
    if not rows:
        return facts.unchecked("no_attention")
    kinds = {r["type"] for r in rows}
    row = rows[0]
    params: dict[str, Param] = {
        "cls": row["cls"],
        "type": row["type"],
        "query": ", ".join(row["query"]),
        "key": ", ".join(row["key"]),
    }
    places = tuple(facts.place(r["path"], r["line"]) for r in rows[:6])
    if len(kinds) > 1:
        return Verdict("unchecked", Message("claims.reason.attention_both"), places)
    outcome = "supported" if kinds == {value} else "contradicted"
    return Verdict(outcome, Message("claims.reason.attention", params), places)  # type: ignore[arg-type]


def activation(facts: Facts, value: str, part: str) -> Verdict:
    """An activation function, from the configuration and from what the classes of the part build."""
    wanted = _family(value)
    rows = _rows(facts, "activations", part)
    seen = [(r["name"], f"{r['cls']}: {r['name']}", facts.place(r["path"], r["line"])) for r in rows]
    path = config_path(facts.release)
    if part in ("", "language", "vision"):
        for place, config in facts._configurations(facts.release.config):
            inside = bool(IMAGE.search(place))
            for key in ("hidden_act", "hidden_activation", "activation_function"):
                name = config.get(key)
                if isinstance(name, str) and (not part or inside == (part == "vision")):
                    seen.append((name, f"{place}{key} = {name}", facts.place(path)))
    if not seen:
        classes = _rows(facts, "attention", part)
        if part and classes:
            places = tuple(facts.place(r["path"], r["line"]) for r in classes[:3])
            return Verdict(
                "contradicted", Message("claims.reason.no_activation", {"cls": classes[0]["cls"]}), places
            )
        return facts.unchecked("nothing")
    equal = [s for s in seen if _family(s[0]) == wanted]
    shown = equal or seen
    reason = Message("claims.reason.stated", {"seen": ", ".join(s[1] for s in shown[:6])})
    return Verdict("supported" if equal else "contradicted", reason, tuple(s[2] for s in shown[:6]))


def _family(name: str) -> str:
    plain = name.lower().replace("_", "").replace("-", "")
    return next(
        (f for f in ("quickgelu", "gelu", "silu", "leakyrelu", "relu", "tanh") if f in plain), plain
    ).replace("swish", "silu")


def vision_encoder(facts: Facts, value: str) -> Verdict:
    """A published image tower: does the checkpoint store as many layers as it has?"""
    depths = {depth for name, depth in TOWERS.items() if name in value.lower()}
    towers = list(facts.lists("vision"))
    if len(depths) != 1 or not towers:
        return facts.unchecked("tower")
    depth = depths.pop()
    most = max(towers, key=lambda n: n.value)
    params: dict[str, Param] = {"value": value, "depth": depth, "layers": most.name, "stored": most.value}
    near = most.value in (depth, depth - 1)
    return Verdict(
        "supported" if near else "contradicted",
        Message("claims.reason.tower_depth", params),
        (facts.place(most.path),),
    )
