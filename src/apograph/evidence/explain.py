"""What bases and claimed sources explain: it is set aside before anything is weighed."""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from apograph.evidence.registry import Case
from apograph.findings import Json, Measure, Message
from apograph.release.types import Release

Item = TypeVar("Item", bound=Hashable)


@dataclass(frozen=True, slots=True)
class Explained(Generic[Item]):
    """What the bases and the claimed sources hold, and what either holds in later revisions, which explains
    nothing."""

    base: frozenset[Item]
    claimed: frozenset[Item]
    later: frozenset[Item]
    given: bool

    def holds(self, item: Item) -> bool:
        """Whether a base or a claimed source explains the item."""
        return item in self.base or item in self.claimed

    def beyond(self, items: Iterable[Item]) -> list[Item]:
        """The items that nothing explains, in their order."""
        return [item for item in items if not self.holds(item)]

    def cell(self, *items: Item) -> dict[str, Json]:
        """A table's cell saying who explains the item (any of its names)."""
        base, claimed = (any(i in held for i in items) for held in (self.base, self.claimed))
        by = "both" if base and claimed else "base" if base else "claimed" if claimed else "nobody"
        return cell(f"explain.by.{by}")

    def measures(self, shared: Collection[Item]) -> list[Measure]:
        """How much of what the two sides share each source explains; nothing where none is given."""
        if not self.given:
            return []
        return [
            Measure("explain.beyond", len(self.beyond(shared)), n=len(shared)),
            Measure("explain.base", sum(i in self.base for i in shared), n=len(shared)),
            Measure("explain.claimed", sum(i in self.claimed for i in shared), n=len(shared)),
        ]

    def limits(self, shared: Iterable[Item]) -> list[Message]:
        """What a reader must know about the setting aside."""
        found = [] if self.given else [Message("explain.no_base")]
        late = sum(1 for item in shared if item in self.later and not self.holds(item))
        return [*found, Message("explain.later", {"n": late})] if late else found


def explained(case: Case, items: Callable[[Release], Iterable[Item]]) -> Explained[Item]:
    """What the case's bases and claimed sources hold of the items that ``items`` reads from a release."""
    base = frozenset(item for release in case.bases for item in items(release))
    claimed = frozenset(item for release in case.claimed for item in items(release))
    newest = [r.later for r in (*case.bases, *case.claimed) if r.later is not None]
    later = frozenset(item for release in newest for item in items(release))
    return Explained(base, claimed, later, bool(case.bases or case.claimed))


def cell(key: str, **params: str | int | float | bool) -> dict[str, Json]:
    """A message as a table's cell (``docs/exhibits.md``)."""
    return {"key": key, "params": dict(params)}
