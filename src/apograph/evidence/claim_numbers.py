"""Claims about sizes: layers, widths, heads, queries, vocabulary, context, parameters, cost."""

from __future__ import annotations

import math
from typing import Any

from apograph.evidence.claim_facts import Facts, Number, Verdict
from apograph.evidence.own_code import config_path
from apograph.evidence.own_queries import query_rows
from apograph.findings import Message

KEYS = {
    "num_layers": ("num_hidden_layers", "n_layer", "num_layers", "n_layers", "depth"),
    "hidden_size": ("hidden_size", "d_model", "n_embd", "dim", "embed_dim", "width"),
    "num_heads": ("num_attention_heads", "n_head", "num_heads", "n_heads"),
    "vocabulary_size": ("vocab_size", "n_vocab"),
    "context_length": ("max_position_embeddings", "n_positions", "max_seq_len", "seq_length"),
}
CLOSE = 0.05
"""Rounded counts ("8B") are held to be the number if they are this near (relative)."""
LEAST_BYTES, MOST_BYTES = 0.5, 4.0
"""Bytes of one stored parameter: four bits to a float of 32."""
FORWARD = 2
"""Floating-point operations per parameter and token of one forward pass (Kaplan et al. 2020, section 2.1)."""


def size(facts: Facts, name: str, value: int, part: str) -> Verdict:
    """One of ``KEYS``: against the configuration and what the checkpoint stores. Without ``part`` any part
    of the model may be meant."""
    found = list(facts.configured(KEYS[name], part))
    if name == "num_layers":
        found += facts.lists(part)
    if name == "vocabulary_size":
        found += _vocabulary(facts)
    if name == "context_length" and facts.release.tokenizer is not None:
        longest = facts.release.tokenizer.config.get("model_max_length")
        if isinstance(longest, int) and longest < 1 << 31:
            found.append(Number(longest, _tokenizer_path(facts), "model_max_length"))
    return facts.judged(value, found)


def _vocabulary(facts: Facts) -> list[Number]:
    tokenizer = facts.release.tokenizer
    if tokenizer is None or tokenizer.vocab is None:
        return []
    tokens = set(tokenizer.vocab) | {t.content for t in tokenizer.added}
    return [Number(len(tokens), _tokenizer_path(facts), "tokens")]


def _tokenizer_path(facts: Facts) -> str:
    tokenizer = facts.release.tokenizer
    return tokenizer.files[0] if tokenizer is not None and tokenizer.files else ""


def image_queries(facts: Facts, value: int) -> Verdict:
    """The number of learned queries or image tokens, as configuration, code and checkpoint state it."""
    if facts.code is None:
        return facts.unchecked("nothing")
    rows = [r for r in query_rows(facts.release, facts.code) if r[4]]
    return facts.judged(value, [Number(r[3], r[0], r[2]) for r in rows])


def parameters(facts: Facts, value: float) -> Verdict:
    """The number of parameters: from shapes, from code that fits the checkpoint, else bounded by bytes."""
    tensors = facts.release.tensors
    if tensors is None:
        return facts.unchecked("no_tensors")
    if tensors.source == "headers" and all(e.shape is not None for e in tensors.entries):
        count = sum(math.prod(e.shape or ()) for e in tensors.entries)
        return _near(facts, value, count, tensors.path)
    own = facts.own_fit()
    if own is not None and own.fits and own.parameters is not None and not own.covered:
        return _near(facts, value, own.parameters, tensors.path)
    if tensors.total_size:
        low, high = tensors.total_size / MOST_BYTES, tensors.total_size / LEAST_BYTES
        if not low * (1 - CLOSE) <= value <= high * (1 + CLOSE):
            reason = Message("claims.reason.outside", {"bytes": tensors.total_size, "low": low, "high": high})
            return Verdict("contradicted", reason, (facts.place(tensors.path),))
        return facts.unchecked("bounded", bytes=tensors.total_size, low=low, high=high)
    return facts.unchecked("no_shapes")


def _near(facts: Facts, value: float, count: int, path: str) -> Verdict:
    outcome = "supported" if abs(value - count) <= CLOSE * count else "contradicted"
    reason = Message("claims.reason.parameters", {"n": count, "percent": round(100 * CLOSE)})
    return Verdict(outcome, reason, (facts.place(path),))  # type: ignore[arg-type]


def cost(facts: Facts, value: Any) -> Verdict:
    """A stated price of training. Only where the claim itself gives tokens, speed and hourly price is there a
    lower bound: one forward pass over every token at that speed. All else would be invented."""
    needed = ("tokens", "flops_per_second", "usd_per_hour")
    if not isinstance(value, dict) or not all(k in value for k in needed):
        return facts.unchecked("cost")
    least = _multiplied(facts)
    if least is None:
        return facts.unchecked("cost")
    hours = FORWARD * least * float(value["tokens"]) / float(value["flops_per_second"]) / 3600
    bound = hours * float(value["usd_per_hour"])
    params = {"bound": bound, "least": least, "usd": float(value["usd"])}
    if bound > float(value["usd"]):
        place = facts.place(config_path(facts.release))
        return Verdict("contradicted", Message("claims.reason.cost_above", params), (place,))
    return facts.unchecked("cost_below", **params)


def _multiplied(facts: Facts) -> float | None:
    """Fewest parameters that a token of text meets: query and output projections and two matrices of the
    feed-forward part in every layer; embeddings, keys, values, gates and the image tower are left out."""
    layers, width, inner = (
        next((n.value for n in facts.configured(keys, "language")), None)
        for keys in (KEYS["num_layers"], KEYS["hidden_size"], ("intermediate_size", "ffn_dim", "n_inner"))
    )
    if not layers or not width or not inner:
        return None
    return float(layers * (2 * width * width + 2 * width * inner))
