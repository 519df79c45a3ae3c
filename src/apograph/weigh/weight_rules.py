"""What weights say of the relation: one small function per kind of evidence, asked in the order of ``RULES``.

A rule answers, or passes by returning None. To add one: write it here, put it into ``RULES``, its sentence
into the catalogue and its row into ``docs/conclusion.md``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

from apograph.evidence.descent_tail import LOW
from apograph.evidence.merge import LEAST, UNEXPLAINED
from apograph.findings import Bearing, Finding, Param, Relation

SAME, MADE, BASES = "weights_identical", "weights_made", "weights_bases"
EXPLAINED, SEEDS = "weights_explained", "seed_common"
COMPUTED, COUNTS = "weights_computed", 0.01
"""Measures of findings of the channel: the share of both checkpoints' elements that are bit-equal (1 only if
nothing is left over on either side); the share of matrices' elements, beyond the bases, whose change shows
that one tensor was computed from the other; the number of bases whose weights were set aside. COMPUTED is
MADE without what two models that were trained from one start can look like. EXPLAINED counts tensors that
a base has as well, SEEDS the usual seeds whose initial weights are still in both."""


@dataclass(frozen=True, slots=True)
class Told:
    """The findings of the channel *weights*; whether a base was set aside; whether a
    witness established which side is the older one."""

    findings: Sequence[Finding]
    base: bool
    dated: bool

    def named(self, id: str) -> Finding | None:
        """The finding of this id."""
        return next((f for f in self.findings if f.id == id), None)

    @property
    def coins(self) -> Finding | None:
        """The test of the coins, where any was thrown."""
        found = self.named("weights.coins")
        return None if found is None or _untested(found) else found

    @property
    def order(self) -> Finding | None:
        """The test of the units' order."""
        return self.named("weights.unit_order")

    @property
    def made(self) -> list[Finding]:
        """Distinctive findings apart from the exact tests of a common start."""
        tests = self.coins, self.order
        return [f for f in self.findings if f.bearing is Bearing.DISTINCTIVE and f not in tests]

    @property
    def seed(self) -> bool:
        """Whether both sides hold traces of one usual seed: that explains a common start."""
        found = self.named("weights.seed")
        return found is not None and measure(found, SEEDS) > 0


@dataclass(frozen=True, slots=True)
class Answer:
    """``key`` names the sentence, ``basis`` the findings it rests on."""

    relation: Relation
    key: str
    basis: Sequence[Finding]
    params: Mapping[str, Param] = field(default_factory=dict)


Rule: TypeAlias = Callable[[Told], Answer | None]


def identical(told: Told) -> Answer | None:
    """Every tensor equal, none left over."""
    same = [f for f in told.findings if measure(f, SAME) == 1]
    return Answer("identical", "identical", same) if same else None


def merge(told: Told) -> Answer | None:
    """One side is a sum of several releases' changes, the other's among them; little is left unexplained."""
    found = told.named("weights.merge")
    if found is None or measure(found, "merge_parts") < 2:
        return None
    if measure(found, "merge_unexplained") > UNEXPLAINED or measure(found, "merge_coefficient") < LEAST:
        return None
    return Answer("merge", "merge", [found], found.message.params)


def computed(told: Told) -> Answer | None:
    """Tensors computed from each other, beyond what training can show: a copy where the same finding set
    aside what a base of both sides has."""
    counted = [f for f in told.made if measure(f, COMPUTED) >= COUNTS]
    if not counted:
        return None
    beside = any(measure(f, BASES) > 0 for f in counted)
    relation: Relation = "copy or derivative" if beside else "common origin"
    return Answer(relation, "made", _with_tests(told), _share(told))


def descent(told: Told) -> Answer | None:
    """One side's whole change from the base goes on in the other's, in every matrix, and the base does not
    explain all that is alike: two releases that were both rounded from it share what rounding took away."""
    found = told.named("weights.descent")
    if found is None or not told.base or not told.made:
        return None
    if found.arrow is None and found.message.key != "weights.descent.same":
        return None
    return Answer("copy or derivative", "descent", [found, *told.made], found.message.params)


def siblings(told: Told) -> Answer | None:
    """Alike beyond the base, but neither change goes on in the other's in any matrix."""
    found = told.named("weights.descent")
    if found is None or found.message.key != "weights.descent.apart" or not told.base or not told.made:
        return None
    if not all(0 < _most(found, way) < LOW for way in ("forward", "back")):
        return None
    return Answer("common ancestor", "siblings", [found], found.message.params)


def tuned(told: Told) -> Answer | None:
    """No more different than training makes two models of one start."""
    if not told.made:
        return None
    return Answer(_start(told), "tuned", _with_tests(told), _share(told))


def coins(told: Told) -> Answer | None:
    """Sign coins agree, with an effect beyond lossless adjustment."""
    found = told.coins
    if found is None or found.bearing is not Bearing.DISTINCTIVE:
        return None
    return Answer(_start(told), "coins_base" if told.base else "coins", [found], found.message.params)


def order(told: Told) -> Answer | None:
    """Hidden units of ungated MLPs stand in the same order, with an effect beyond lossless adjustment."""
    found = told.order
    if found is None or found.bearing is not Bearing.DISTINCTIVE:
        return None
    return Answer(_start(told), "order", [found], found.message.params)


def coins_dated(told: Told) -> Answer | None:
    """Sign coins agree without that effect, but the older side's bytes were witnessed before the other could
    be had, so it was not adjusted to the other; and no one adjusts his own release so as to look derived."""
    found = told.coins
    if found is None or found.bearing is not Bearing.SUPPORTING or not told.dated:
        return None
    return Answer(_start(told), "coins_dated", [found], found.message.params)


def weak(told: Told) -> Answer | None:
    """Sign coins agree without that effect: whoever publishes last can choose signs."""
    found = told.coins
    if found is None or found.bearing is not Bearing.SUPPORTING:
        return None
    return Answer("undetermined", "weak", [found], found.message.params)


def explained(told: Told) -> Answer | None:
    """A base explains what is shared: coins or orders that agree, what a disguise hid, tensors."""
    found = [
        f
        for f in told.findings
        if (f in (told.coins, told.order) and f.bearing is Bearing.CONTEXT)
        or f.message.key == "weights.gauge.explained"
        or (f.id == "weights.transformation" and measure(f, EXPLAINED) > 0)
    ]
    return Answer("common ancestor", "explained", found) if found else None


def mixed(told: Told) -> Answer | None:
    """Something fits a common origin, but no exact test carries it."""
    supporting = [f for f in told.findings if f.bearing is Bearing.SUPPORTING]
    return Answer("undetermined", "mixed", supporting) if supporting else None


def independent(told: Told) -> Answer | None:
    """An exact test was made and nothing was found."""
    tests = [f for f in (told.coins, told.order) if f is not None]
    return Answer("independent", "independent", tests) if tests else None


def unread(told: Told) -> Answer | None:
    """There were modules to be tested, but no values to test them by: infinities, for instance."""
    found = told.named("weights.coins")
    return Answer("undetermined", "unread", [found]) if found is not None and _untested(found) else None


RULES: tuple[Rule, ...] = (
    identical,
    merge,
    computed,
    descent,
    siblings,
    tuned,
    coins,
    order,
    coins_dated,
    weak,
    explained,
    mixed,
    independent,
    unread,
)


def answer(told: Told) -> Answer | None:
    """The first rule's that answers."""
    return next((found for rule in RULES if (found := rule(told)) is not None), None)


def measure(finding: Finding, name: str) -> float:
    """The value of a measure; 0 where the finding has none."""
    values = [m.value for m in finding.measures if m.name == name]
    return float(values[0]) if values and isinstance(values[0], int | float) else 0.0


def _untested(coins: Finding) -> bool:
    return any(m.name == "coins_share" and m.n == 0 for m in coins.measures)


def _start(told: Told) -> Relation:
    """A shared seed explains it too; without a base any ancestor does, unless that seed is known."""
    return "same initialisation or derivative" if told.base or told.seed else "common origin"


def _with_tests(told: Told) -> list[Finding]:
    tests = [f for f in (told.coins, told.order) if f is not None and f.bearing is Bearing.DISTINCTIVE]
    return [*told.made, *tests]


def _share(told: Told) -> dict[str, Param]:
    return {"share": max(measure(f, MADE) for f in told.made)}


def _most(found: Finding, way: str) -> float:
    intervals = [m.interval for m in found.measures if m.name == f"descent_{way}_middle"]
    return intervals[0][1] if intervals and intervals[0] is not None else 0.0
