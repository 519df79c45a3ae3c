"""What was not examined, as one line and as a list."""

from __future__ import annotations

from dataclasses import replace

from apograph.findings import Message, Unexamined
from apograph.report.coverage import gaps, unseen
from apograph.report.words import catalogue
from tests.report.sample import report

ABSENT = Message("examine.lacks.code")


def gap(channel: str, side: str, path: str = "", fault: bool = False) -> Unexamined:
    return Unexamined(channel, ABSENT, side, path, fault)


def test_equal_reasons_stand_once_and_faults_first() -> None:
    sample = replace(
        report(),
        unexamined=(
            *(gap("code", side) for side in ("reference", "candidate")),
            *(gap("release", "reference", f"{n}.bin") for n in range(5)),
            gap("release", "candidate", "x\x1b"),
            gap("names", "candidate", "y", fault=True),
        ),
    )
    told = gaps(sample, "en")
    assert [(g.title, g.fault, g.where(4, "en")) for g in told] == [
        ("Tensor names", True, "candidate: y"),
        ("Code", False, "reference, candidate"),
        ("Contents", False, "reference: 0.bin, 1.bin, 2.bin, 3.bin and 2 more"),
    ]
    assert told[2].where(9, "en").endswith("4.bin; candidate: x\\x1b")


def test_the_line_tells_whole_part_and_nothing() -> None:
    sample = report()
    channels = {finding.channel for finding in sample.findings}
    assert {"files", "code"} <= channels
    assert not channels & {"weights", "answers"}
    lacking = replace(sample, settings={}, unexamined=(gap("weights", "reference"), gap("code", "candidate")))
    told = unseen(lacking, "en").split("; ")
    assert told[:2] == ["weights", "only in part: code"]
    assert told[2].startswith("nothing given or found: answers, ")
    assert "files" not in told[2]
    some = replace(lacking, settings={"only": "code,files"}, unexamined=())
    assert unseen(some, "en") == "asked for was nothing but code, files"
    names = (key.removeprefix("channel.") for key in catalogue() if key.startswith("channel."))
    findings = tuple(replace(sample.findings[0], channel=name) for name in names)
    everything = replace(sample, settings={}, unexamined=(), findings=findings)
    assert unseen(everything, "en") == "All that was given could be read."
