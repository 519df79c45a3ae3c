"""Does a release's own code and configuration fit its own checkpoint? Each side is examined by itself.

Static reading only (``release.static_model``). A misfit says that a release was assembled from parts, or is
unfinished; it never says by itself where the parts come from, so nothing here is more than supporting.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from apograph.align.fit import Fit, fit
from apograph.align.names import Renaming, renaming
from apograph.evidence.consistency_rows import fault_row, finding, location, misfit_rows, prefixes
from apograph.evidence.own_code import read_code, side_of
from apograph.evidence.own_layers import dropped_layers
from apograph.evidence.own_queries import queries
from apograph.evidence.own_tokens import missing_tokens
from apograph.evidence.registry import Case, examiner
from apograph.findings import (
    SIDES,
    Bearing,
    Finding,
    Location,
    Measure,
    Message,
    Param,
    Side,
    Unexamined,
)
from apograph.release.types import Release, Tensors

Items = Iterator[Finding | Unexamined]


@examiner("consistency")
def own_parts(case: Case) -> Items:
    """Both sides, each by itself; then whether one side's checkpoint fits the other side's code instead."""
    fits: dict[str, Fit] = {}
    for side in SIDES:
        release = side_of(case, side)
        code, gaps = read_code(case, release, side)
        yield from gaps
        if code is None:
            yield Unexamined("consistency", Message("consistency.gap.no_code"), side)
            continue
        yield from _cannot_run(side, release, code)
        own = _own_fit(release, code)
        if isinstance(own, Message):
            yield Unexamined("consistency", own, side)
        else:
            fits[side] = own
            yield from _fit_findings(side, release, code, own)
        yield from dropped_layers(case, side, release, code)
        yield from queries(side, release, code)
        yield from missing_tokens(side, release, code)
    yield from _fits_other(case, fits)


def _own_fit(release: Release, code: dict[str, Any]) -> Fit | Message:
    """The fit, or why it cannot be examined."""
    model, tensors = code["model"], release.tensors
    if tensors is None:
        return Message("consistency.gap.no_tensors")
    if model is None or model["tensors"] is None:
        return Message("consistency.gap.no_entry")
    if tensors.path.endswith(".gguf") or "quantization_config" in release.config:
        return Message("consistency.gap.converted")
    return fit(model, tensors)


def _cannot_run(side: Side, release: Release, code: dict[str, Any]) -> Items:
    """Faults for which loading or using the model fails, and class paths that lead nowhere."""
    entry_files = set(code["named"])
    for fault in code["faults"]:
        if fault["kind"] in {"missing_entry", "missing_class"}:
            params: dict[str, Param] = {
                "name": fault["name"],
                "path": fault["path"],
                "missing": fault["detail"],
            }
            yield finding(
                "class_path", side, params, locations=(Location(side, str(fault["path"]), release.revision),)
            )
    faults = [f for f in code["faults"] if f["kind"] not in {"missing_entry", "missing_class"}]
    failing = [f for f in faults if f["when"] != "note"]
    if not failing or not code["named"]:
        return
    loading = [f for f in failing if f["when"] == "load"]
    first = next((f for f in failing if f["path"] in entry_files), failing[0])
    kind = "cannot_run" if loading or any(f["kind"] == "no_forward" for f in failing) else "fails_in_use"
    yield finding(
        kind,
        side,
        {"path": str(first["path"]), "n": len(failing), "loading": len(loading)},
        rows=[fault_row(f) for f in [*loading, *(f for f in faults if f not in loading)]],
        columns=("place", "reason", "when"),
        locations=tuple(location(side, release, f) for f in failing),
    )


def _fit_findings(side: Side, release: Release, code: dict[str, Any], own: Fit) -> Items:
    model = code["model"]
    place = (location(side, release, model),)
    measures: tuple[Measure, ...] = (
        Measure("tensors_stored", own.stored),
        Measure("tensors_named_by_code", own.named),
        Measure("tensors_not_in_code", len(own.extra)),
        Measure("tensors_not_stored", len(own.absent)),
    )
    params: dict[str, Param] = {
        "entry": model["class"], "stored": own.stored, "named": own.named, "covered": own.covered,
        "absent": len(own.absent), "extra": len(own.extra), "shapes": len(own.shapes),
    }  # fmt: skip
    if own.fits:
        measures = (*measures[:2], *_parameters(own, release.tensors))
        yield finding("fits", side, params, bearing=Bearing.CONTEXT, measures=measures, locations=place)
        return
    yield finding(
        "misfit", side, params, rows=misfit_rows(own), columns=("tensors", "code", "checkpoint"),
        locations=place, measures=measures,
    )  # fmt: skip
    held = [f for f in code["faults"] if f["kind"] in {"held_function", "no_configuration"}]
    parts = [{**r, "kind": "imported", "when": "note", "detail": ""} for r in code["unbuilt"]] + held
    if parts and own.extra:
        yield finding(
            "unbuilt",
            side,
            {"n": len(parts), "prefixes": prefixes(own.extra)},
            rows=[[_place(r), r["name"], fault_row(r)[1]] for r in parts],
            columns=("place", "name", "reason"),
            locations=tuple(location(side, release, r) for r in parts),
        )


def _place(row: dict[str, Any]) -> str:
    return f"{row['path']}:{row['line']}"


def _parameters(own: Fit, tensors: Tensors | None) -> tuple[Measure, ...]:
    """The number of parameters by the code's shapes; bytes per parameter if these divide the total size."""
    if own.parameters is None or own.covered:
        return ()
    measures: tuple[Measure, ...] = (Measure("parameters_by_code", own.parameters),)
    total = tensors.total_size if tensors else None
    if total and total % own.parameters == 0:
        measures += (Measure("bytes_per_parameter", total // own.parameters),)
    return measures


def _fits_other(case: Case, fits: dict[str, Fit]) -> Items:
    """A checkpoint that does not fit its own code but, renamed, fits the other side's."""
    for side, other in ((SIDES[1], SIDES[0]), (SIDES[0], SIDES[1])):
        own, tensors = fits.get(side), side_of(case, side).tensors
        code, _ = read_code(case, side_of(case, other), other)
        model = code["model"] if code else None
        theirs = side_of(case, other).tensors
        if own is None or own.fits or tensors is None or theirs is None or not model or not model["tensors"]:
            continue
        found = case.shared.get("names.renaming")
        if not isinstance(found, Renaming):
            found = renaming(case.reference.tensors or theirs, case.candidate.tensors or tensors)
        back = {b: a for a, b in found.pairs} if side == "candidate" else dict(found.pairs)
        cross = fit(model, tensors, lambda name, back=back: back.get(name, name))  # type: ignore[misc]
        if cross.fits and cross.named:
            yield finding(
                "fits_other",
                side,
                {
                    "other": other, "entry": model["class"], "stored": cross.stored, "named": cross.named,
                    "own_extra": len(own.extra),
                },
                locations=(location(other, side_of(case, other), model),),
                measures=(Measure("tensors_named_by_other_code", cross.named), *_parameters(cross, tensors)),
                arrow=None if _base_fits(case, tensors) else other,
            )  # fmt: skip


def _base_fits(case: Case, tensors: Tensors) -> bool:
    """Whether a base's or the claimed source's code fits this checkpoint too."""
    for release in (*case.bases, *case.claimed):
        code, _ = read_code(case, release, "base")
        model = code["model"] if code else None
        if model and model["tensors"] and release.tensors:
            back = {b: a for a, b in renaming(release.tensors, tensors).pairs}
            if fit(model, tensors, lambda name, back=back: back.get(name, name)).fits:  # type: ignore[misc]
                return True
    return False
