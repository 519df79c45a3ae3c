"""Everything that is known of two models' answers, and the findings that follow from it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from apograph.behaviour.canonical import MISSING, Kind
from apograph.behaviour.join import join
from apograph.behaviour.panel import Panel, choose_panel
from apograph.behaviour.sheet import Sheet
from apograph.behaviour.transcripts import explode
from apograph.findings import Finding, Unexamined


@dataclass(frozen=True, slots=True)
class Answers:
    """Answers of a reference, a candidate, a panel of unrelated models and noised copies of the reference.

    ``sheet`` as it was read; ``units`` what is counted: ``sheet`` itself, or the positions of transcriptions
    (then ``by_consensus`` transcriptions have no key and were aligned with what the panel reads, and
    ``left_out`` have neither). ``panel`` after the panel's rules.
    """

    sheet: Sheet
    units: Sheet
    reference: int
    candidate: int
    panel: Panel
    noised: tuple[int, ...] = ()
    left_out: int = 0
    by_consensus: int = 0

    def findings(self) -> Iterator[Finding | Unexamined]:
        """Everything that the answers show, with its null hypotheses and limits."""
        from apograph.behaviour import find_errors, find_models, find_noise, find_texts

        yield from find_errors.findings(self)
        yield from find_models.findings(self)
        yield from find_texts.findings(self)
        yield from find_noise.findings(self)

    def name(self, j: int) -> str:
        """The name of model ``j``."""
        return self.sheet.columns[j].name


def load_answers(
    reference: Path,
    candidate: Path,
    panel: Sequence[Path] = (),
    noised: Sequence[Path] = (),
    key: Path | None = None,
    kind: Kind | None = None,
) -> Answers:
    """Read, join and prepare the answers of one comparison. Raises Refusal as ``join`` does."""
    sheet = join([reference, candidate, *panel, *noised], key, kind)
    others = range(2, 2 + len(panel))
    return prepare(sheet, 0, 1, others, range(2 + len(panel), len(sheet.columns)))


def prepare(
    sheet: Sheet, reference: int, candidate: int, panel: Sequence[int], noised: Sequence[int] = ()
) -> Answers:
    """Apply the panel's rules and turn transcriptions into positions."""
    units, left_out, unkeyed = sheet, 0, 0
    if sheet.kind == "transcript":
        units, left_out = explode(sheet, panel)
        unkeyed = int((sheet.keys == MISSING).sum()) - left_out
    chosen = choose_panel(units, panel, reference, candidate)
    return Answers(sheet, units, reference, candidate, chosen, tuple(noised), left_out, unkeyed)
