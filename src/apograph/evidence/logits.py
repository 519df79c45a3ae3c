"""Whether the candidate's logits lie in the space of the reference's output layer (``output_space``)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.align.gauge.named import output_layer
from apograph.evidence.output_space import chosen_tokens, chosen_vectors, residual, rows, unrelated
from apograph.evidence.registry import Case, examiner
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Measure,
    Message,
    Param,
    Refusal,
    Strength,
    Unexamined,
)
from apograph.release.refuse import refuse
from apograph.release.tensor_store import TensorStore, open_store
from apograph.release.types import Release

if TYPE_CHECKING:
    from numpy.typing import NDArray

CHANNEL = "answers"
NAME = "logits"
INSIDE = 0.05
"""Share outside the space below which vectors count as lying in it: rounding to bfloat16 leaves 0.005, and
unrelated models of the lab leave 0.28 and more, a student of the reference 0.12."""
MAX_VOCABULARY = 1 << 21
MAX_HIDDEN = 1 << 14


@dataclass(frozen=True, slots=True)
class Vectors:
    """Logits (vectors, vocabulary) of a file; ``lost`` vectors with values that are not finite."""

    values: NDArray[Any]
    lost: int
    sha256: str


@dataclass(frozen=True, slots=True)
class Space:
    """One release's output layer against the vectors: its shape, the tokens compared, the share outside."""

    role: str
    ref: str
    vocabulary: int
    hidden: int
    tokens: int
    outside: float | None


@examiner(CHANNEL)
def logits(case: Case) -> Iterator[Finding | Unexamined]:
    """The finding of ``case.logits`` (``Vectors`` of the candidate), when they were given."""
    vectors = case.logits
    if vectors is None:
        return
    spaces: list[Space] = []
    for role, release in _parties(case):
        try:
            spaces.append(_space(role, release, vectors.values))
        except Refusal as refusal:
            yield Unexamined(CHANNEL, refusal.message, role, release.ref)
    if not spaces or spaces[0].role != "reference":
        return
    if spaces[0].outside is None:
        yield Unexamined(CHANNEL, _words("unexamined.no_constraint"), "candidate")
        return
    yield _finding(spaces, vectors)


def _parties(case: Case) -> Iterator[tuple[str, Release]]:
    yield "reference", case.reference
    yield "candidate", case.candidate
    yield from (("base", release) for release in case.bases)
    yield from (("claimed", release) for release in case.claimed)
    yield from (("panel", release) for release in case.panel)


def read_vectors(path: str) -> Vectors:
    """The tensor ``logits`` (vectors, vocabulary) of a safetensors file, as far as ``chosen_vectors`` goes.

    Raises Refusal 2 when there is no such matrix of floating point values, 5 beyond 2^21 tokens, and as
    ``open_store`` does.
    """
    with closing(open_store(path)) as store:
        info = store.infos.get(NAME)
        shape = () if info is None else info.shape or ()
        if len(shape) != 2 or 0 in shape or store.dtype(NAME) not in ("F16", "BF16", "F32", "F64"):
            raise refuse("answers.logits_file", path, found=", ".join(store.infos))
        if shape[1] > MAX_VOCABULARY:
            raise refuse("answers.vocabulary", path, code=5, found=shape[1], limit=MAX_VOCABULARY)
        values = rows(store, NAME, chosen_vectors(*shape))
        store.check()
    whole = np.isfinite(values).all(axis=1)
    with open(path, "rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    return Vectors(values[whole], int((~whole).sum()), digest)


def _space(role: str, release: Release, vectors: NDArray[Any]) -> Space:
    with closing(open_store(release)) as store:
        name = output_layer(store)
        if name is None:
            raise refuse("answers.no_head", release.ref)
        vocabulary, hidden = store.infos[name].shape or (0, 0)
        if hidden > MAX_HIDDEN:
            raise refuse("answers.hidden", release.ref, code=5, found=hidden, limit=MAX_HIDDEN)
        # A vocabulary that was padded, or had tokens added, is compared as far as both go.
        tokens = chosen_tokens(min(vocabulary, vectors.shape[1]), hidden)
        head = _whole(store, name, tokens, release)
    return Space(role, release.ref, vocabulary, hidden, len(tokens), residual(head, vectors[:, tokens]))


def _whole(store: TensorStore, name: str, tokens: NDArray[Any], release: Release) -> NDArray[Any]:
    head = rows(store, name, tokens)
    if not np.isfinite(head).all():
        raise refuse("answers.head_values", release.ref, name=name)
    return head


def _finding(spaces: list[Space], vectors: Vectors) -> Finding:
    reference = spaces[0]
    assert reference.outside is not None
    bearing, word, named = _judged(spaces)
    params: dict[str, Param] = {
        "n": len(vectors.values),
        "outside": reference.outside,
        "unrelated": unrelated(reference.tokens, reference.hidden),
        "base": named,
    }
    columns = ("role", "outside", "unrelated", "hidden", "vocabulary", "tokens", "model")
    table = [
        [
            {"key": f"report.role.{one.role}", "params": {}},
            None if one.outside is None else round(one.outside, 5),
            round(unrelated(one.tokens, one.hidden), 3),
            one.hidden,
            one.vocabulary,
            one.tokens,
            one.ref,
        ]
        for one in spaces
    ]
    return Finding(
        f"{CHANNEL}.logits",
        CHANNEL,
        _words(f"logits.{word}", **params),
        bearing=bearing,
        strength=Strength("descriptive"),
        measures=(
            Measure("answers.outside", reference.outside, n=len(vectors.values)),
            Measure("answers.outside_unrelated", unrelated(reference.tokens, reference.hidden)),
        ),
        exhibits=(
            Exhibit(
                "table",
                {"columns": [f"answers.{c}" for c in columns], "rows": table},
                _words("logits.caption"),
            ),
        ),
        alternatives=(_words("alternative.head"),),
        limits=_limits(spaces, vectors),
    )


def _judged(spaces: list[Space]) -> tuple[Bearing, str, str]:
    """Supporting only where the vectors lie in the reference's space, a base was given, and no base, claimed
    source or panel model explains them as well."""
    if not _inside(spaces[0]):
        return Bearing.CONTEXT, "outside", ""
    for one in spaces:
        if one.role in ("base", "claimed", "panel") and _inside(one):
            return Bearing.CONTEXT, "explained", one.ref
    based = any(one.role == "base" and one.outside is not None for one in spaces)
    return (Bearing.SUPPORTING if based else Bearing.CONTEXT), "inside", ""


def _inside(space: Space) -> bool:
    return space.outside is not None and space.outside <= INSIDE


def _limits(spaces: list[Space], vectors: Vectors) -> tuple[Message, ...]:
    limits = [_words("limit.head"), _words("limit.changed_logits")]
    if not any(one.role == "base" for one in spaces):
        limits.append(_words("limit.no_base"))
    if any(one.role == "candidate" and one.outside is not None and not _inside(one) for one in spaces):
        limits.append(_words("limit.own_head"))
    if spaces[0].vocabulary != vectors.values.shape[1]:
        shapes: dict[str, Param] = {"found": vectors.values.shape[1], "due": spaces[0].vocabulary}
        limits.append(_words("limit.vocabulary", **shapes))
    if vectors.lost:
        limits.append(_words("limit.lost", n=vectors.lost))
    return (*limits, _words("limit.logits_file", digest=vectors.sha256))


def _words(key: str, **params: Param) -> Message:
    return Message(f"answers.{key}", params)
