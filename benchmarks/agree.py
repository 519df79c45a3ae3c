"""Error rates and power of the statistics on answers, and the time that a large comparison takes.

    python benchmarks/agree.py [--reps 1000] [--timing ITEMS MODELS]

Every scenario simulates unrelated models (``apograph.behaviour.simulate``) on items of uneven difficulty
whose wrong answers are unevenly popular, tests models 0 and 1 with the others as the panel, and prints the
share of pairs that each statistic rejects at 0.01 and at 1e-4; then the same with a candidate that copies a
share of the reference's answers (rejection at 1e-6).
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from apograph.behaviour.answers import load_answers
from apograph.behaviour.indices import copying_indices
from apograph.behaviour.irt import modelled_agreement
from apograph.behaviour.pairs import beyond_panel, count_pair, independence
from apograph.behaviour.shared import match_chances, rank, sensitivity, upper_rate, worst_case
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.simulate import copied, simulate
from apograph.behaviour.view import View, reference_view
from apograph.weigh.tails import poisson_binomial_tail

SEED = 6


@dataclass(frozen=True)
class Scenario:
    """Unrelated models: their number, items, options, how able the panel is next to the two sides."""

    name: str
    items: int
    panel: int
    options: int
    panel_ability: float = 0.8
    sharpen: float = 0.0

    def draw(self, rng: np.random.Generator, sides: int = 2) -> Sheet:
        """``sides`` models to be compared with each other, then the panel."""
        compared = rng.normal(0.8, 0.5, sides)
        others = rng.normal(self.panel_ability, 0.5, self.panel)
        return simulate(rng, self.items, [*compared, *others], options=self.options, sharpen=self.sharpen)


SCENARIOS = (
    Scenario("4 options, panel of 20", 500, 20, 4),
    Scenario("4 options, panel of 8", 500, 8, 4),
    Scenario("open answers, panel of 20", 500, 20, 200),
    Scenario("able models err alike, able panel", 500, 20, 4, 0.8, 0.8),
    Scenario("able models err alike, weak panel", 1000, 20, 4, -1.0, 2.0),
)
SIDES = 40
SHARES = (0.1, 0.2, 0.3, 0.5, 0.7, 0.9)
COPY_STATISTICS = ("m|s", "p_U", "GBT")
STATISTICS = ("m|s", "p_U", "rank", "θ0", "ω", "GBT", "M4", "K", "K1", "K2", "S1", "S2", "s")


def default_test(view: View, j: int, panel: Sequence[int]) -> dict[str, float]:
    """log10 p of the default test of model ``j``: plug-in and worst case."""
    s, m = view.counts(j)
    worst = worst_case(s, m, upper_rate(view, panel))
    plug = poisson_binomial_tail(match_chances(view, j, panel), m)
    return {"m|s": plug, "p_U": 0.0 if worst is None else worst}


def tested(sheet: Sheet, panel: Sequence[int]) -> dict[str, float]:
    """log10 p of every statistic."""
    view = reference_view(sheet, 0)
    counts = count_pair(sheet, 0, 1)
    beyond = beyond_panel(counts, [count_pair(sheet, 0, j) for j in panel])
    modelled = modelled_agreement(sheet, 0, 1, panel)
    found = {
        **default_test(view, 1, panel),
        "rank": float(np.log10(rank(view, 1, panel)[0])),
        "θ0": 0.0 if beyond is None else beyond[1],
        "s": independence(counts),
        **copying_indices(sheet, 0, 1, panel),
    }
    if modelled is not None:
        found.update({"ω": modelled.log10_omega, "GBT": modelled.log10_gbt, "M4": modelled.log10_m4})
    return found


def null_table(reps: int) -> None:
    """Rejection rates of unrelated pairs by every statistic, and the largest Γ among them."""
    print(f"Unrelated pairs rejected at 0.01 / 1e-4 ({reps} pairs each; – : never defined)\n")
    columns: list[dict[str, str]] = []
    for scenario in SCENARIOS:
        rng = np.random.default_rng(SEED)
        values: dict[str, list[float]] = defaultdict(list)
        panel, largest = range(2, 2 + scenario.panel), 0.0
        for _ in range(reps):
            sheet = scenario.draw(rng)
            found = tested(sheet, panel)
            if found["m|s"] < -1.5:
                view = reference_view(sheet, 0)
                largest = max(largest, sensitivity(match_chances(view, 1, panel), view.counts(1)[1]))
            for name, value in found.items():
                values[name].append(value)
        columns.append({name: _rates(values[name]) for name in values} | {"largest Γ": f"{largest:.2f}"})
    for number, scenario in enumerate(SCENARIOS, 1):
        print(f"  ({number}) {scenario.name}, {scenario.items} items")
    print("\n" + " " * 10 + "".join(f"{f'({n + 1})':>17}" for n in range(len(SCENARIOS))))
    for name in (*STATISTICS, "largest Γ"):
        print(f"{name:10}" + "".join(f"{column.get(name, '–'):>17}" for column in columns), flush=True)


def _rates(values: Sequence[float]) -> str:
    p = np.array(values)
    return f"{np.mean(p <= -2):.4f} / {np.mean(p <= -4):.4f}"


def far_null(draws: int) -> None:
    """The default test alone, often enough for 1e-4: of each draw all pairs of ``SIDES`` models against one
    panel. Pairs of one draw share models and items, so the errors are those of means over draws."""
    pairs = SIDES * (SIDES - 1) // 2
    print(
        f"\nThe default test alone, {draws} draws of {pairs} unrelated pairs each: rejected at 0.01 / 1e-4\n"
    )
    for scenario in SCENARIOS[:4]:
        rng = np.random.default_rng(SEED + 1)
        found: dict[str, list[tuple[float, float]]] = defaultdict(list)
        panel = range(SIDES, SIDES + scenario.panel)
        for _ in range(draws):
            sheet = scenario.draw(rng, SIDES)
            one: dict[str, list[float]] = defaultdict(list)
            for i in range(SIDES - 1):
                view = reference_view(sheet, i)
                for j in range(i + 1, SIDES):
                    for name, value in default_test(view, j, panel).items():
                        one[name].append(value)
            for name, values in one.items():
                p = np.array(values)
                found[name].append((float(np.mean(p <= -2)), float(np.mean(p <= -4))))
        told = ""
        for name, rates in found.items():
            mean, error = np.mean(rates, axis=0), np.std(rates, axis=0) / np.sqrt(draws)
            cells = " / ".join(f"{m:.5f} ± {e:.5f}" for m, e in zip(mean, error, strict=True))
            told += f"   {name} {cells}"
        print(f"{scenario.name:38}{told}", flush=True)


def power_table(reps: int) -> None:
    """Share of copies found at 1e-6."""
    print(f"\nCopies found at 1e-6 ({reps} pairs each), by the share of answers that is copied\n")
    for scenario in (SCENARIOS[0], SCENARIOS[2]):
        found: dict[tuple[str, float], int] = defaultdict(int)
        for share in SHARES:
            rng = np.random.default_rng(SEED)
            for _ in range(reps):
                sheet = copied(rng, scenario.draw(rng), 0, 1, share)
                values = tested(sheet, range(2, 2 + scenario.panel))
                for name in COPY_STATISTICS:
                    found[name, share] += values[name] <= -6
        for name in COPY_STATISTICS:
            told = "".join(f"{share:>6.0%}: {found[name, share] / reps:.2f}" for share in SHARES)
            print(f"{scenario.name:28}{name:>6}{told}", flush=True)


def planned_power(reps: int) -> None:
    """The planning table's promise: with that many both-wrong items, 95 % of such candidates pass 1e-6."""
    from apograph.behaviour.power import CANDIDATE_RATES, PANEL_RATES, items_needed
    from apograph.weigh.tails import binomial_tail

    print(f"\nPower with the planned number of items ({reps} draws each; promised: 0.95)\n")
    rng = np.random.default_rng(SEED)
    for panel in PANEL_RATES:
        cells = []
        for own in CANDIDATE_RATES:
            n = items_needed(panel, own)
            if n is None:
                cells.append(f"{'–':>14}")
                continue
            drawn = rng.binomial(n, own, reps)
            passes = np.array([binomial_tail(n, panel, m) <= -6 for m in range(n + 1)])
            cells.append(f"{n:>6}: {passes[drawn].mean():.3f} ")
        print(f"{panel:>8.3f}" + "".join(cells))


def timing(items: int, models: int) -> None:
    """Read and compare ``items`` answers of two sides and ``models`` panel models, end to end."""
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(SEED)
        ease = 1 / (1 + np.exp(-rng.normal(1.0, 1.5, items)))
        paths = []
        for j in range(models + 2):
            wrong = rng.integers(1, 4, items)
            given = np.where(rng.random(items) < ease, 0, wrong)
            path = Path(folder) / f"m{j}.jsonl"
            with path.open("w") as stream:
                for n, code in enumerate(given.tolist()):
                    stream.write(json.dumps({"item": f"q{n}", "raw": "ABCD"[code], "key": "A"}) + "\n")
            paths.append(path)
        start = time.perf_counter()
        loaded = load_answers(paths[0], paths[1], paths[2:])
        read = time.perf_counter()
        count = len(list(loaded.findings()))
        done = time.perf_counter()
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rows = items * (models + 2)
    print(
        f"\n{items:,} items, 2 + {models} models: read and joined in {read - start:.1f} s "
        f"({rows / (read - start):,.0f} answers a second), {count} findings in {done - read:.1f} s, "
        f"{memory:.2f} GB at most"
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--reps", type=int, default=1000)
    parser.add_argument("--timing", type=int, nargs=2, metavar=("ITEMS", "MODELS"))
    chosen = parser.parse_args()
    if chosen.timing:
        timing(*chosen.timing)
        return
    null_table(chosen.reps)
    far_null(chosen.reps // 10)
    power_table(max(chosen.reps // 20, 20))
    planned_power(10_000)


if __name__ == "__main__":
    main()
