"""The result types: what an examination says, in plain data and without a word of any language.

Every module may import this one; it imports nothing of ours. A sentence that a person will read is a
:class:`Message`: a key of the catalogue of words (``report/words``) and the parameters that fill it, so a
saved report can be shown again in another language. Everything here survives a round trip through JSON
(``report.json_format``).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Any, Literal, TypeAlias

Json: TypeAlias = bool | int | float | str | list[Any] | dict[str, Any] | None
Param: TypeAlias = str | int | float | bool
Side: TypeAlias = Literal["reference", "candidate"]
SIDES: tuple[Side, Side] = ("reference", "candidate")


@dataclass(frozen=True, slots=True)
class Message:
    """One sentence: ``key`` names an entry of the catalogue of words, ``params`` fill its gaps.

    Parameters that come from a release are untrusted text; the renderers escape them.
    """

    key: str
    params: Mapping[str, Param] = field(default_factory=dict)


class Refusal(Exception):  # noqa: N818 - the house's word: input, usage or a limit was refused, nothing crashed
    """Something could not be done for a reason that the user is told in one line.

    ``code`` is the exit code of DESIGN: 2 input not fully examined, 3 nothing supported found, 4 usage,
    5 a resource limit, 6 index or database.
    """

    def __init__(self, code: int, message: Message, path: str = "", offset: int | None = None) -> None:
        super().__init__(message.key)
        self.code = code
        self.message = message
        self.path = path
        self.offset = offset


class Bearing(Enum):
    """How far a finding can carry a conclusion (see ``docs/conclusion.md``).

    CONTEXT never counts (names, configuration, anything a common architecture explains). SUPPORTING counts
    only beside something distinctive. DISTINCTIVE is material of the reference's own, in the candidate,
    that neither a base nor the claimed source explains. AGAINST speaks for separate origins.
    """

    CONTEXT = "context"
    SUPPORTING = "supporting"
    DISTINCTIVE = "distinctive"
    AGAINST = "against"


@dataclass(frozen=True, slots=True)
class Measure:
    """A measured quantity. ``name`` is a catalogue key below ``measure.``; ``interval`` is (low, high).

    ``unit``: "bytes", "bits", "share" (of 1; shown in per cent) or nothing. ``n``: of how many.
    """

    name: str
    value: float | int | str | None
    unit: str = ""
    n: int | None = None
    interval: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Strength:
    """Strength of a finding. ``log10_p`` is given only with a stated null hypothesis.

    kind: "exact" (valid for any sample size under the null), "calibrated" (against a null corpus),
    "descriptive" (a measure without an error rate), "none" (never evidence by itself).
    """

    kind: Literal["exact", "calibrated", "descriptive", "none"] = "descriptive"
    log10_p: float | None = None
    null: Message | None = None


@dataclass(frozen=True, slots=True)
class Location:
    """Where something was seen: file, revision (commit id) and the 1-based inclusive lines."""

    side: str
    path: str
    revision: str | None = None
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Exhibit:
    """Plain data that a renderer draws; ``docs/exhibits.md`` describes the ``data`` of every ``kind``."""

    kind: str
    data: Mapping[str, Any]
    caption: Message


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found. ``id`` is ``channel.kind``, unique; a repeated kind adds ``:detail``."""

    id: str
    channel: str
    message: Message
    bearing: Bearing = Bearing.CONTEXT
    strength: Strength = Strength()
    measures: tuple[Measure, ...] = ()
    exhibits: tuple[Exhibit, ...] = ()
    locations: tuple[Location, ...] = ()
    alternatives: tuple[Message, ...] = ()
    limits: tuple[Message, ...] = ()
    arrow: Side | None = None
    """The side that this finding shows to be the *source*, if it shows one by itself."""


@dataclass(frozen=True, slots=True)
class Unexamined:
    """Something was not examined: absence is a result. ``fault`` tells an error or limit (exit 2 or 5)
    from content that is absent by publication, such as a Git-LFS pointer (no error)."""

    examiner: str
    reason: Message
    side: str = ""
    path: str = ""
    fault: bool = False
    code: int = 2


Relation: TypeAlias = Literal[
    "identical",
    "copy or derivative",
    "common origin",
    "common ancestor",
    "same initialisation or derivative",
    "merge",
    "independent",
    "undetermined",
]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """The answer in one sentence. ``basis`` lists the ids of the findings on which it rests;
    ``source`` is the side that came first where ``direction`` is known."""

    relation: Relation
    sentence: Message
    basis: tuple[str, ...] = ()
    direction: Literal["known", "unknown"] = "unknown"
    source: Side | None = None
    direction_basis: Message | None = None
    strength: Strength = Strength()
    notes: tuple[Message, ...] = ()


@dataclass(frozen=True, slots=True)
class ReleaseInfo:
    """A release as the report names it. ``role`` is reference, candidate, base, claimed or panel;
    ``dates`` are ISO 8601 in UTC; ``digest`` is the SHA-256 over its manifest of paths and identities."""

    role: str
    ref: str
    kind: str
    revision: str | None
    digest: str
    files: int
    size: int
    tensors: int | None = None
    first_date: str | None = None
    revision_date: str | None = None
    note: Message | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a renderer sees. Renderers see nothing else."""

    schema_version: str
    tool: str
    created: str
    arguments: tuple[str, ...]
    settings: Mapping[str, Param]
    releases: tuple[ReleaseInfo, ...]
    findings: tuple[Finding, ...]
    unexamined: tuple[Unexamined, ...]
    conclusion: Conclusion
