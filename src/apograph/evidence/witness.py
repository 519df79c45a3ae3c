"""Dates that third parties witnessed, and whether they put one side before the other.

Signs, order and basis of weights are free choices of whoever publishes last, so weight evidence points from
one side to the other only if the first's bytes were witnessed before the second could be had by the first's
holder. A witness says that bytes existed *by* a time, never that they did not exist before. So the second
half cannot be witnessed; it is stated by the user (``--published``) and shown as a statement. The second
side's own witness can only contradict the order. ``docs/witness.md`` gives the reasons.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from apograph.evidence.dates import day, moment
from apograph.evidence.registry import Case, examiner
from apograph.findings import (
    SIDES,
    Exhibit,
    Finding,
    Json,
    Measure,
    Message,
    Param,
    Side,
    Strength,
    Unexamined,
)
from apograph.release.types import Release
from apograph.release.witness import Witness

OTHER: dict[Side, Side] = {"reference": "candidate", "candidate": "reference"}


@dataclass(frozen=True, slots=True)
class Held:
    """SHA-256 of a side's weight files and of all its files; None where the content is absent."""

    weights: tuple[str | None, ...]
    files: tuple[str | None, ...]

    @property
    def known(self) -> frozenset[str]:
        """SHA-256 digests (hex) of the files whose content is known."""
        return frozenset(digest for digest in self.files if digest is not None)


@dataclass(frozen=True, slots=True)
class Dates:
    """What is known of one side's dates: the earliest witness that covers all its weight files, and all its
    files; when it could first be had, as stated; and its history's first commit, which nobody witnessed."""

    weights: Witness | None
    whole: Witness | None
    stated: int | None
    claimed: int | None


@examiner("witness")
def dated(case: Case) -> Iterator[Finding | Unexamined]:
    """A finding per side, and one that tests both orders. Nothing when no date was given."""
    if not case.witnesses and not case.published:
        return
    sides: dict[Side, Release] = {"reference": case.reference, "candidate": case.candidate}
    held = {side: _held(release) for side, release in sides.items()}
    for witness in case.witnesses:
        if not any(held[side].known & witness.digests for side in SIDES):
            yield Unexamined("witness", Message("witness.covers_nothing"), path=witness.path)
        elif not witness.trusted:
            yield Unexamined("witness", Message("witness.untrusted"), path=witness.path)
    told: dict[Side, Dates] = {}
    for side in SIDES:
        told[side] = _dates(sides[side], held[side], case.witnesses, case.published.get(side))
        yield _side(side, told[side], held[side], case.witnesses)
    yield _order(told)


def _held(release: Release) -> Held:
    tensors = release.tensors
    named = {entry.file for entry in tensors.entries} if tensors is not None else set()
    by_path = {f.path: release.sha256(f.path) for f in release.files}
    weights = tuple(by_path[f.path] for f in release.files if f.path in named or f.name in named)
    return Held(weights, tuple(by_path.values()))


def _dates(release: Release, held: Held, witnesses: Sequence[Witness], stated: int | None) -> Dates:
    history = release.history
    return Dates(
        _earliest(held.weights or held.files, witnesses),
        _earliest(held.files, witnesses),
        stated,
        history.commits[0].time if history is not None and history.commits else None,
    )


def _earliest(digests: Sequence[str | None], witnesses: Sequence[Witness]) -> Witness | None:
    covering = [w for w in witnesses if w.trusted and digests and all(d in w.digests for d in digests)]
    return min(covering, key=lambda w: w.time, default=None)


def _side(side: Side, dates: Dates, held: Held, witnesses: Sequence[Witness]) -> Finding:
    best = max((len(held.known & w.digests) for w in witnesses), default=0)
    params: dict[str, Param] = {"side": side, "n": best, "all": len(held.files), "weights": len(held.weights)}
    if dates.weights is not None:
        kind = "whole" if dates.whole is not None else "weights"
        params |= {"time": moment(dates.weights.time), "authority": dates.weights.authority}
    elif best:
        partly = any(w.trusted and held.known & w.digests for w in witnesses)
        kind = "partly" if partly else "unvouched"
    else:
        kind = "none"
    measures = [Measure("witness_covered", best, n=len(held.files))]
    for name, value in (
        ("witness_time", dates.weights.time if dates.weights else None),
        ("witness_whole_time", dates.whole.time if dates.whole else None),
        ("witness_stated", dates.stated),
        ("witness_claimed", dates.claimed),
    ):
        if value is not None:
            measures.append(Measure(name, moment(value)))
    return Finding(
        id=f"witness.{side}",
        channel="witness",
        message=Message(f"witness.side.{kind}", params),
        strength=Strength("none"),
        measures=tuple(measures),
        limits=(Message("witness.limit.by_then"),),
    )


def _order(told: dict[Side, Dates]) -> Finding:
    first = _first({side: (d.weights.time if d.weights else None, d.stated) for side, d in told.items()})
    whole = _first({side: (d.whole.time if d.whole else None, d.stated) for side, d in told.items()})
    source = next((side for side in SIDES if first[side] == "holds"), None)
    by_files = told[source].whole if source is not None and whole[source] == "holds" else None
    if source is not None:
        message = Message(f"witness.order.{source}", _dates_of(told, source))
    else:
        asked: Side = "candidate" if first["reference"] == "undated" else "reference"
        names: dict[str, Param] = {"side": asked, "other": OTHER[asked]}
        message = Message(f"witness.order.open_{first[asked]}", names)
    return Finding(
        id="witness.order",
        channel="witness",
        message=message,
        strength=Strength("none"),
        measures=(Measure("witness_whole_time", moment(by_files.time)),) if by_files else (),
        exhibits=(Exhibit("table", _table(told, first), Message("witness.caption")),),
        alternatives=(Message("witness.alternative.private"), Message("witness.alternative.earlier")),
        limits=(Message("witness.limit.stated"),),
        arrow=source,
    )


def _first(known: dict[Side, tuple[int | None, int | None]]) -> dict[Side, str]:
    """For each side, whether it is established to be the first: "holds", or why not.

    ``known``: by side, the witnessed time and the stated time from which it could be had. The side was first
    if it was witnessed before the other could be had, unless the other's own witness is no later, or the
    other was witnessed before this side could be had. At most one side is first.
    """
    answers: dict[Side, str] = {}
    for side in SIDES:
        (mine, my_public), (theirs, their_public) = known[side], known[OTHER[side]]
        if mine is None:
            answers[side] = "undated"
        elif theirs is not None and theirs <= mine:
            answers[side] = "older"
        elif theirs is not None and my_public is not None and theirs < my_public:
            answers[side] = "unseen"
        elif their_public is None:
            answers[side] = "unstated"
        else:
            answers[side] = "holds" if mine < their_public else "late"
    return answers


def _dates_of(told: dict[Side, Dates], source: Side) -> dict[str, Param]:
    mine, theirs = told[source], told[OTHER[source]]
    assert mine.weights is not None
    assert theirs.stated is not None
    return {"time": moment(mine.weights.time), "stated": moment(theirs.stated)[:10]}


def _table(told: dict[Side, Dates], first: dict[Side, str]) -> dict[str, Json]:
    """Both dates and both orders."""
    rows: list[Json] = []
    for side in SIDES:
        mine, theirs = told[side], told[OTHER[side]]
        rows.append(
            [
                {"key": f"witness.before.{side}", "params": {}},
                {"key": f"witness.answer.{first[side]}", "params": {}},
                day(mine.weights.time) if mine.weights else None,
                day(theirs.stated) if theirs.stated is not None else None,
            ]
        )
    names = ("order", "answer", "witnessed", "stated")
    return {"columns": [f"witness_{name}" for name in names], "rows": rows}
