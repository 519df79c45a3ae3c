"""The figures of docs/accuracy.md as Markdown, block by block."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.lab.manifest import Manifest
from apograph.lab.measure.beside import KIT
from apograph.lab.measure.fairness import Fairness, as_named
from apograph.lab.measure.judge import Verdict, coin_score
from apograph.lab.measure.pairs import pairs
from apograph.lab.measure.rates import by_models, clopper_pearson, without_each
from apograph.lab.measure.results import (
    Result,
    f1,
    localised,
    renamings,
    separation,
    shares,
    sigmas,
)

VERDICTS: tuple[Verdict, ...] = ("right", "less", "abstained", "missed", "wrong", "accused")


def table(head: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A Markdown table; numbers to three places."""
    lines = ["| " + " | ".join(head) + " |", "|" + " --- |" * len(head)]
    lines += ["| " + " | ".join(cell(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)


def cell(value: Any) -> str:
    """A value as text: three decimals, a dash for none."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def grouped(some: Iterable[Result]) -> dict[str, list[Result]]:
    """Results by the group of their pair, in the order of their coming."""
    groups: dict[str, list[Result]] = {}
    for r in some:
        groups.setdefault(r.row["group"], []).append(r)
    return groups


def scope(manifest: Manifest, some: Sequence[Result]) -> str:
    """What was measured, with what."""
    versions = sorted({str(r.row.get("version")) for r in some})
    rows = [
        ("releases", len(manifest.recipes)),
        ("pairs measured, of those that the set allows", f"{len(some)} of {len(pairs(manifest))}"),
        ("of these one holds the other's weights, no base given", sum(r.positive for r in some)),
        ("of these neither has seen the other or its weights", sum(r.stranger for r in some)),
        (
            "with a base given, and with a stranger as base",
            f"{sum(r.given == 'yes' for r in some)}, {sum(r.given == 'a stranger' for r in some)}",
        ),
        ("version of the examining code (digest of its sources)", ", ".join(versions)),
    ]
    return table(("", ""), rows)


def nulls(some: Sequence[Result], fair: Fairness, same: tuple[int, int], seeds: int) -> str:
    """The null corpus: what was concluded, bounds, and whether the coins are fair."""
    places = [(r.row["reference"], r.row["candidate"]) for r in some]
    names = {n for pair in places for n in pair}
    accused = np.array([float(r.verdict == "accused") for r in some])
    guilty = {n for pair, a in zip(places, accused, strict=True) if a for n in pair}
    few = [r for r in some if all(int(n[-2:]) < 15 for n in (r.row["reference"], r.row["candidate"]))]
    small = np.array([p for family in fair.p.values() for p in family])
    spread = by_models(places, accused, lambda v, w: float((v * w).sum() / w.sum()))
    least, most = without_each(places, accused)
    rows = [
        ("pairs, of models", f"{len(some)}, {len(names)} of {seeds}"),
        *((f"concluded: {k or 'nothing'}", n) for k, n in Counter(r.row["relation"] for r in some).items()),
        ("false accusations", int(accused.sum())),
        ("models in one, and the upper bound of that rate (Clopper–Pearson, 95 %, one-sided)",
         f"{len(guilty)} of {len(names)}: < {clopper_pearson(len(guilty), len(names)):.1%}"),
        ("rate over pairs, bootstrap over models (95 %)", f"{spread[0]:.4f} to {spread[1]:.4f}"),
        ("rate over pairs, one model left out at a time", f"{least:.4f} to {most:.4f}"),
        ("of the first 15 models alone: pairs, false accusations",
         f"{len(few)}, {sum(r.verdict == 'accused' for r in few)}"),
        ("smallest corrected p of any pair", f"{10 ** -max(coin_score(r.row) for r in some):.2g}"),
        ("modules tested, smallest p alone", f"{len(small)}, {small.min():.2g}"),
        *((f"share of p at most {x:g}", f"{share:.4f}") for x, share in fair.below.items()),
        ("Kolmogorov's distance of the randomised p from uniform", f"{fair.ks:.4f}"),
        ("its rank among 999 re-signed sets (a p-value)", f"{fair.ks_p:.3f}"),
        ("variance of z, and 95 % of re-signed sets",
         f"{fair.variance:.3f}; {fair.variance_range[0]:.3f} to {fair.variance_range[1]:.3f}"),
        ("pairs in which the examiner compared every matrix with that of the same name",
         sum(as_named(r.row) for r in some)),
        ("modules of these pairs that it counted alike", f"{same[0]} of {same[1]}"),
    ]  # fmt: skip
    return table(("", ""), rows)


def manipulations(some: Sequence[Result]) -> str:
    """Every manipulation: verdicts without a base, and how well the score tells it from strangers."""
    strangers = [r for r in some if r.stranger]
    rows = []
    for group, own in grouped(r for r in some if r.positive).items():
        s = separation(own, strangers)
        told = Counter(r.verdict for r in own)
        rows.append([group, len(own), *(told[v] for v in VERDICTS), s.auc, s.found, s.held, s.whole])
    s = separation([r for r in some if r.positive], strangers)
    told = Counter(r.verdict for r in some if r.positive)
    rows.append(["**all**", s.n, *(told[v] for v in VERDICTS), s.auc, s.found, s.held, s.whole])
    note = (
        f"\n\nThe threshold frozen on the even seeds is {s.limit:.3f}; of {s.strangers} pairs of strangers of"
        f" the odd seeds {s.false:.3f} exceed it."
    )
    head = ("manipulation", "pairs", *VERDICTS, "AUC", "found at 1 %", "of", "of all pairs")
    return table(head, rows) + note


def based(some: Sequence[Result]) -> str:
    """Copies examined with a base, a true one or a stranger."""
    rows = []
    for given in ("yes", "a stranger"):
        for group, own in grouped(r for r in some if r.truth.source is not None and r.given == given).items():
            told = Counter(r.verdict for r in own)
            rows.append([group, given, len(own), *(told[v] for v in VERDICTS)])
    return table(("copies", "base", "pairs", *VERDICTS), rows)


def near(some: Sequence[Result]) -> str:
    """Pairs of which neither was made from the other, by what makes them alike."""
    rows = []
    for given in ("no", "yes", "a stranger"):
        alike = [r for r in some if r.truth.source is None and r.row["group"] != "null" and r.given == given]
        for group, own in grouped(alike).items():
            told = Counter(r.verdict for r in own)
            said = Counter(str(r.row["relation"] or "nothing") for r in own)
            text = ", ".join(f"{n} {k}" for k, n in said.most_common())
            rows.append([group, given, len(own), told["accused"], text])
    return table(("pairs", "base", "n", "false accusations", "concluded"), rows)


def confusion(some: Sequence[Result]) -> str:
    """Truth by conclusion, without and with a base."""
    said = sorted({str(r.row["relation"]) for r in some})
    rows = []
    for base in (False, True):
        for true in dict.fromkeys(r.truth.relation for r in some):
            own = [r for r in some if r.truth.relation == true and r.base == base]
            counts = Counter(str(r.row["relation"]) for r in own)
            if own:
                rows.append([true, "yes" if base else "no", *(counts[s] for s in said), *_right(own)])
    rows.append(["all", "", *(sum(str(r.row["relation"]) == s for r in some) for s in said), *_right(some)])
    head = [x.replace("None", "nothing") for x in said]
    return table(("truth", "base", *head, "right of decided", "or less than could be said"), rows)


def _right(some: Sequence[Result]) -> tuple[str, str]:
    decided = [r for r in some if r.verdict != "abstained"]
    return share_of([r.verdict == "right" for r in decided]), share_of(
        [r.verdict in ("right", "less") for r in decided]
    )


def share_of(some: Sequence[bool]) -> str:
    """Of how many it is true."""
    return f"{sum(some)} of {len(some)} ({sum(some) / len(some):.1%})" if some else "–"


def directions(some: Sequence[Result]) -> str:
    """Where the arrows point, for pairs with a source and without one."""
    rows = []
    for name, own in (
        ("one was made from the other", [r for r in some if r.truth.source is not None]),
        ("neither was", [r for r in some if r.truth.source is None]),
    ):
        told = Counter(r.direction for r in own)
        decided = told["right"] + told["wrong"] + told["false"]
        share = told["right"] / decided if decided and told["right"] else float("nan")
        rows.append([name, len(own), told["right"], told["wrong"] + told["false"], told["abstained"], share])
    return table(("pairs", "n", "right", "wrong", "no arrow", "right of decided"), rows)


def details(manifest: Manifest, some: Sequence[Result]) -> str:
    """Localisation, maps, noise and merges."""
    plain = [r for r in some if not r.row["bases"]]
    alike = ("identical",)
    adapters = [r for r in plain if r.row["group"] == "LoRA" and r.truth.source == r.row["reference"]]
    rows: list[tuple[Any, ...]] = [
        ("frozen embeddings: matrices told as identical, F1",
         _f1(plain, "frozen embeddings", r"embed|head", alike)),
        ("frozen block: the same", _f1(plain, "frozen block", r"layers\.0\.", alike)),
        ("merged LoRA: matrices told as low rank, F1",
         f1(*localised(adapters, r"q_proj|v_proj", ("low_rank",))) if adapters else None),
        ("renamed: matrices whose counterpart was found", "{} of {}".format(*renamings(manifest, plain))),
    ]  # fmt: skip
    for kind in ("units", "heads", "channels"):
        counts = [r.row["maps"][kind] for r in plain if kind in r.row.get("maps", {})
                  and r.truth.source == r.row["reference"]]  # fmt: skip
        if counts:
            right, every = (sum(c[n] for c in counts) for n in (0, 1))
            rows.append((f"{kind} permuted: places recovered", f"{right} of {every} ({right / every:.1%})"))
    for group, errors in sigmas(manifest, plain).items():
        known = [e for e in errors if not np.isnan(e)]
        worst = f"{max(map(abs, known)):.2%}" if known else "–"
        rows.append((f"{group}: greatest error of σ", f"{worst} ({len(known)} of {len(errors)} told)"))
    merges = shares(manifest, some)
    known = [abs(found - true) for _, true, found, _ in merges if found is not None]
    if known:
        rows.append(
            ("merges: greatest error of a coefficient", f"{max(known):.3f} ({len(known)} of {len(merges)})")
        )
    return table(("", ""), rows)


def _f1(some: Sequence[Result], group: str, names: str, kinds: Sequence[str]) -> float | None:
    own = [r for r in some if r.row["group"] == group and r.truth.shared]
    return f1(*localised(own, names, kinds)) if own else None


def beside(some: Sequence[Result], answers: Mapping[str, Mapping[str, Any]]) -> str:
    """AUC of every method by manipulation, against the same strangers and against all near pairs."""
    known = [r for r in some if r.row["key"] in answers]
    rows = []
    for group, own in [
        *grouped(r for r in known if r.positive).items(),
        ("**all**", [r for r in known if r.positive]),
    ]:
        rows.append([group, len(own), *(_auc(m, own, known, answers) for m in methods(answers))])
    return table(("manipulation", "pairs", *methods(answers)), rows)


def methods(answers: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Ours first, the kit only where it was asked."""
    names = ["Apograph", "AWM", "HuRef", "attention std"]
    return [*names, *([KIT] if any(KIT in a for a in answers.values()) else [])]


def _auc(
    method: str, own: Sequence[Result], known: Sequence[Result], answers: Mapping[str, Mapping[str, Any]]
) -> float:
    strangers = [r for r in known if r.stranger]
    if method == KIT:
        own, strangers = ([r for r in some if KIT in answers[r.row["key"]]] for some in (own, strangers))
    if method == "Apograph":
        return separation(own, strangers).auc
    own = [r for r in own if answers[r.row["key"]].get(method) is not None]
    return separation(own, strangers, lambda r: answers[r.row["key"]].get(method)).auc


def cost(some: Sequence[Result], answers: Mapping[str, Mapping[str, Any]]) -> str:
    """Seconds of computing and peak memory of a process; the kit's seconds where it was asked."""
    busy = np.array([r.row["busy"] for r in some])
    memory = max(r.row["memory"] for r in some) / 2**20
    rows = [("seconds of one core a pair, its releases open, median and 95 %", _seconds(busy)),
            ("peak memory of a process, MB", f"{memory:.0f}")]  # fmt: skip
    asked = [a["seconds"] for a in answers.values() if KIT in a]
    if asked:
        rows.append((f"{KIT}: seconds by the clock, {len(asked)} pairs", _seconds(np.array(asked))))
    return table(("", ""), rows)


def _seconds(all_: NDArray[np.float64]) -> str:
    return f"{np.median(all_):.2f}, {np.quantile(all_, 0.95):.2f}"


def short(some: Sequence[Result]) -> str:
    """Every pair whose verdict is not right, by group; abstentions too."""
    counts: Counter[tuple[str, str, str, str]] = Counter()
    for r in some:
        if r.verdict != "right":
            said = "nothing" if r.row["relation"] is None else f"“{r.row['relation']}”"
            base = " with a base" if r.base else ""
            counts[r.verdict, r.row["group"] + base, r.truth.relation, said] += 1
    lines = [
        f"* {verdict}: {n} of {group} ({true} in truth), concluded {said}"
        for (verdict, group, true, said), n in sorted(
            counts.items(), key=lambda x: (-VERDICTS.index(x[0][0]), x)
        )
    ]
    failed = [r.row["key"] for r in some if r.row["failed"]]
    lines += [f"* an examiner failed in {len(failed)} pairs, the first {failed[0]}"] if failed else []
    return "\n".join(lines) or "* nothing"
