"""Configuration: values equal, changed and missing; left-overs that name what only the other side has.

Two independently trained models of one architecture have equal configurations, so values never count. A class
path that leads nowhere in one's own repository and to a class in the other's is another matter: nobody writes
such a path; it comes with a file that was taken over.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from apograph.align.names_of import Name, names_of
from apograph.evidence.classes import ClassName, Home, Sources, class_names, left_over
from apograph.evidence.dates import day
from apograph.evidence.explain import cell, explained
from apograph.evidence.jsons import Path, canonical, dotted, leaves, shown
from apograph.evidence.registry import Case, Part, examiner
from apograph.findings import (
    Bearing,
    Exhibit,
    Finding,
    Json,
    Location,
    Measure,
    Message,
    Side,
    Strength,
    Unexamined,
)
from apograph.release.types import Release

Value = tuple[str, Path, str]
"""File name, path within it, canonical leaf."""


@dataclass(frozen=True, slots=True)
class _Compared:
    """Two configuration files of one name, leaf by leaf."""

    name: str
    paths: tuple[str, str]
    reference: Mapping[Path, Json]
    candidate: Mapping[Path, Json]

    def status(self, path: Path) -> str:
        if path not in self.candidate:
            return "reference_only"
        if path not in self.reference:
            return "candidate_only"
        same = canonical(self.reference[path]) == canonical(self.candidate[path])
        return "equal" if same else "changed"

    def keys(self) -> list[Path]:
        """All paths, in the reference's order, then the candidate's."""
        return list(dict.fromkeys([*self.reference, *self.candidate]))

    def item(self, path: Path) -> Value:
        return self.name, path, canonical(self.reference[path])


@examiner("config", needs=Part.CONFIG)
def values(case: Case) -> Iterator[Finding | Unexamined]:
    """All configuration files of equal names, as flat keys."""
    compared = list(_pairs(case.reference.configs, case.candidate.configs))
    known = explained(case, _values)
    shared = [c.item(p) for c in compared for p in c.keys() if c.status(p) == "equal"]  # noqa: SIM118
    counts = dict.fromkeys(("equal", "changed", "reference_only", "candidate_only"), 0)
    rows: list[tuple[int, list[Json]]] = []
    base_values = _by_key(case)
    order = ("changed", "reference_only", "candidate_only", "equal", "explained")
    for c in compared:
        for path in c.keys():  # noqa: SIM118
            status = c.status(path)
            counts[status] += 1
            if status == "equal" and known.holds(c.item(path)):
                status = "explained"
            sides = [shown(side[path]) if path in side else None for side in (c.reference, c.candidate)]
            base = base_values.get((c.name, path))
            name = dotted(path) if len(compared) == 1 else f"{c.name}: {dotted(path)}"
            rows.append((order.index(status), [name, *sides, base, cell(f"config.status.{status}")]))
    rows.sort(key=lambda r: r[0])
    variant = "none" if not shared else "same" if len(shared) == sum(counts.values()) else "some"
    columns = ["key", "reference", "candidate", "base", "status"]
    yield Finding(
        id="config.values",
        channel="config",
        message=Message(f"config.values.{variant}", {**counts, "files": len(compared)}),
        strength=Strength("none"),
        measures=(
            *(Measure(f"config.{name}", count) for name, count in counts.items()),
            *_top_level(case),
            *known.measures(shared),
        ),
        exhibits=(
            Exhibit(
                "table", {"columns": columns, "rows": [r for _, r in rows]}, Message("config.values.caption")
            ),
        )
        if rows
        else (),
        locations=tuple(
            Location(side, c.paths[n]) for c in compared for n, side in enumerate(("reference", "candidate"))
        ),
        alternatives=(Message("config.alternative.architecture"), Message("config.alternative.ancestor"))
        if shared
        else (),
        limits=(Message("config.never"), *known.limits(shared)),
    )


def _pairs(reference: Mapping[str, Json], candidate: Mapping[str, Json]) -> Iterator[_Compared]:
    """Files of the same path, then of the same name, the shallowest first."""
    for name in sorted({_name(p) for p in reference} & {_name(p) for p in candidate}):
        sides = [
            sorted((p for p in side if _name(p) == name), key=lambda p: (p.count("/"), p))
            for side in (reference, candidate)
        ]
        both = [p for p in sides[0] if p in sides[1]]
        rest = ([p for p in side if p not in both] for side in sides)
        for a, b in [*((p, p) for p in both), *zip(*rest, strict=False)]:
            yield _Compared(name, (a, b), leaves(reference[a]), leaves(candidate[b]))


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _values(release: Release) -> Iterator[Value]:
    for path, value in release.configs.items():
        for place, leaf in leaves(value).items():
            yield _name(path), place, canonical(leaf)


def _by_key(case: Case) -> dict[tuple[str, Path], str]:
    """The first base's value (else the first claimed source's) under every key, as text."""
    found: dict[tuple[str, Path], str] = {}
    for release in (*case.bases, *case.claimed):
        for path, value in release.configs.items():
            for place, leaf in leaves(value).items():
                found.setdefault((_name(path), place), shown(leaf))
    return found


def _top_level(case: Case) -> list[Measure]:
    """Equal top-level keys of the two main configurations, whole values compared."""
    a, b = case.reference.config, case.candidate.config
    equal = sum(key in b and _whole(a[key]) == _whole(b[key]) for key in a)
    return [Measure("config.top_equal", equal, n=len(a.keys() | b.keys()))]


def _whole(value: Json) -> list[tuple[Path, str]]:
    return sorted(((p, canonical(v)) for p, v in leaves(value).items()), key=repr)


@examiner("config", needs=Part.FILES)
def leftovers(case: Case) -> Iterator[Finding | Unexamined]:
    """Class paths that one side names and only the other side's repository, at some time, could resolve."""
    releases = {"reference": case.reference, "candidate": case.candidate}
    sources = {side: Sources(release) for side, release in releases.items()}
    explaining = {str(n): Sources(r) for n, r in enumerate((*case.bases, *case.claimed))}
    sides: tuple[tuple[Side, Side], ...] = (("candidate", "reference"), ("reference", "candidate"))
    for side, other in sides:
        mine = {"own": sources[side], "other": sources[other], **explaining}
        found = [
            (named, home)
            for named in class_names(releases[side])
            if (home := left_over(mine, named)) is not None
        ]
        if found:
            yield _left_over(side, other, found, bool(explaining))


def _left_over(side: Side, other: Side, found: list[tuple[ClassName, Home]], given: bool) -> Finding:
    paths = [(named, home) for named, home in found if named.module]
    named, home = (paths or found)[0]
    rows: list[Json] = [
        [n.path, n.key, n.text, h.path, day(h.first.since) if h.first else None, day(h.until)]
        for n, h in found
    ]
    places = [Location(side, n.path) for n, _ in found]
    places += [Location(other, h.path, h.first.commit if h.first else None) for _, h in found]
    kind = "path" if paths else "name"
    past = "_past" if home.until is not None else ""
    return Finding(
        id=f"config.leftover:{side}",
        channel="config",
        message=Message(
            f"config.leftover.{kind}{past}",
            {
                "side": side,
                "other": other,
                "name": named.text,
                "path": named.path,
                "home": home.path,
                "since": day(home.first.since) if home.first else "",
                "until": day(home.until),
                "n": len(found),
            },
        ),
        bearing=Bearing.DISTINCTIVE if paths else Bearing.SUPPORTING,
        measures=(Measure("config.leftovers", len(found)), Measure("config.leftover_paths", len(paths))),
        exhibits=(
            Exhibit(
                "table",
                {"columns": ["file", "key", "value", "defined_in", "since", "until"], "rows": rows},
                Message("config.leftover.caption", {"side": side, "other": other}),
            ),
        ),
        locations=tuple(dict.fromkeys(places)),
        alternatives=(Message("config.alternative.open"), Message("config.alternative.third")),
        limits=(
            Message("config.leftover.limit"),
            *(() if given else (Message("explain.no_base"),)),
        ),
        arrow=other,
    )


def _own_names(release: Release) -> dict[str, Name]:
    """By their squeezed form. An owner has many models: that name is no model's own."""
    return {n.squeezed: n for n in names_of(release) if n.kind != "owner"}


@examiner("config", needs=Part.CONFIG)
def shared_names(case: Case) -> Iterator[Finding | Unexamined]:
    """Names that both sides' configurations give to the model, its classes and modules, and no base gives."""
    own = [_own_names(r) for r in (case.reference, case.candidate)]
    known = explained(case, _own_names)
    shared = [name for name in own[0] if name in own[1]]
    beyond = known.beyond(shared)
    if not beyond:
        return
    rows: list[Json] = [
        [cell(f"config.name.{own[0][name].kind.replace(' ', '_')}"), own[0][name].text, own[1][name].text]
        for name in beyond
    ]
    parts = known.beyond(dict.fromkeys(s for side in own for s, name in side.items() if name.kind != "id"))
    columns = ["kind", "reference", "candidate"]
    yield Finding(
        id="config.shared_names",
        channel="config",
        message=Message("config.shared_names.some", {"n": len(beyond), "name": own[0][beyond[0]].text}),
        bearing=Bearing.SUPPORTING,
        measures=(
            Measure("config.shared_names", len(beyond)),
            Measure("config.class_names", sum(s in beyond for s in parts), n=len(parts)),
            *known.measures(shared),
        ),
        exhibits=(
            Exhibit("table", {"columns": columns, "rows": rows}, Message("config.shared_names.caption")),
        ),
        locations=tuple(
            dict.fromkeys(
                Location(side, own[n][name].path)
                for name in beyond
                for n, side in enumerate(("reference", "candidate"))
                if own[n][name].path
            )
        ),
        alternatives=(Message("config.alternative.open"), Message("config.alternative.family")),
        limits=tuple(known.limits(shared)),
    )
