"""Added tokens: which say something, and which stand where an ancestor had numbered placeholders.

Makers of tokenizers reserve places for later: ``<|reserved_special_token_0|>``, ``..._1|>`` and so on.
Whoever puts tokens of their own into these places leaves a gap in the numbers. So the vocabulary itself shows
what was added to the ancestor's, even when the ancestor is not at hand.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import pairwise

from apograph.evidence.registry import Case
from apograph.findings import Location
from apograph.release.types import Tokenizer

Token = tuple[str, int]
"""Content and id."""
SERIES = 16
"""So many tokens that differ only in a number are placeholders."""
EVERYBODYS = frozenset(
    (
        "<s>", "</s>", "<unk>", "<pad>", "<mask>", "<bos>", "<eos>", "<cls>",
        "<sep>", "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "[BOS]", "[EOS]",
        "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|pad|>", "<|padding|>",
    )
)  # fmt: skip
"""Contents so common that they are no one's."""
_NUMBERED = re.compile(r"(.*?)([0-9]{1,6})([^0-9]*)", re.DOTALL)


def both(case: Case) -> tuple[Tokenizer, Tokenizer]:
    """The tokenizers of an examiner that needs both."""
    reference, candidate = case.reference.tokenizer, case.candidate.tokenizer
    assert reference is not None
    assert candidate is not None
    return reference, candidate


def places(case: Case) -> tuple[Location, ...]:
    """The files of both tokenizers."""
    reference, candidate = both(case)
    return (
        *(Location("reference", path) for path in reference.files),
        *(Location("candidate", path) for path in candidate.files),
    )


def tokens(tokenizer: Tokenizer) -> frozenset[Token]:
    """Added tokens as pairs of content and id."""
    return frozenset((token.content, token.id) for token in tokenizer.added)


@dataclass(frozen=True, slots=True)
class Gap:
    """A gap in a series of placeholders: ``missing`` numbers are absent, and ``fillers`` are the tokens whose
    ids lie between its neighbours. At least min(missing, len(fillers)) of them replaced a placeholder."""

    missing: int
    fillers: tuple[Token, ...]

    @property
    def replaced(self) -> int:
        """How many of the missing placeholders a filler can stand for, at least."""
        return min(self.missing, len(self.fillers))


def placeholders(found: Iterable[Token]) -> dict[tuple[str, str], dict[int, int]]:
    """Series of placeholders: what stands before and after the number, and the id of every number."""
    series: dict[tuple[str, str], dict[int, int]] = defaultdict(dict)
    for content, place in found:
        if match := _NUMBERED.fullmatch(content):
            series[match[1], match[3]][int(match[2])] = place
    return {stem: ids for stem, ids in series.items() if len(ids) >= SERIES}


def gaps(found: Iterable[Token]) -> list[Gap]:
    """Gaps in the placeholders of a tokenizer, by id."""
    known = sorted(found, key=lambda t: (t[1], t[0]))
    made = []
    for ids in placeholders(known).values():
        numbers = sorted(ids)
        for low, high in pairwise(numbers):
            if high - low > 1 and ids[low] < ids[high]:
                inside = tuple(t for t in known if ids[low] < t[1] < ids[high])
                if inside:
                    made.append(Gap(high - low - 1, inside))
    return sorted(made, key=lambda g: g.fillers[0][1])


@dataclass(frozen=True, slots=True)
class SharedTokens:
    """Added tokens of two tokenizers. ``telling`` are equal in content and id, no placeholders, nobody else's
    and not everybody's; ``filling`` are those of them that stand in gaps, ``replaced`` at least so many of
    them replaced a placeholder."""

    equal: frozenset[Token]
    moved: frozenset[str]
    reference_only: frozenset[str]
    candidate_only: frozenset[str]
    placeholders: frozenset[Token]
    telling: tuple[Token, ...]
    filling: tuple[Token, ...]
    replaced: int


def shared_tokens(a: Tokenizer, b: Tokenizer, known: Mapping[Token, bool]) -> SharedTokens:
    """Compare added tokens; ``known`` tells of every shared token whether a base or claimed source has it."""
    mine, other = tokens(a), tokens(b)
    equal = mine & other
    contents = {t[0] for t in mine}, {t[0] for t in other}
    stems = placeholders(mine).keys() | placeholders(other).keys()
    reserved = frozenset(t for t in equal if (m := _NUMBERED.fullmatch(t[0])) and (m[1], m[3]) in stems)
    telling = [t for t in equal - reserved if t[0] not in EVERYBODYS and not known.get(t, False)]
    chosen = frozenset(telling)
    in_both = [
        (gap.replaced, [t for t in gap.fillers if t in chosen]) for gap in gaps(mine) if gap in gaps(other)
    ]
    return SharedTokens(
        equal=equal,
        moved=frozenset((contents[0] & contents[1]) - {t[0] for t in equal}),
        reference_only=frozenset(contents[0] - contents[1]),
        candidate_only=frozenset(contents[1] - contents[0]),
        placeholders=reserved,
        telling=tuple(sorted(telling, key=lambda t: (t[1], t[0]))),
        filling=tuple(t for _, fillers in in_both for t in fillers),
        replaced=sum(min(replaced, len(fillers)) for replaced, fillers in in_both),
    )
