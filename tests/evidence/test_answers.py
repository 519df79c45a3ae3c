import numpy as np

from apograph.behaviour.answers import prepare
from apograph.behaviour.simulate import copied, simulate
from apograph.evidence.answers import answers
from apograph.evidence.registry import Case
from apograph.findings import Finding
from tests.evidence.fakes import FakeRelease


def test_answers_are_told_when_there_are_any() -> None:
    rng = np.random.default_rng(1)
    sheet = copied(rng, simulate(rng, 200, [0.5] * 14, options=30), 0, 1, 0.9)
    given = prepare(sheet, 0, 1, range(2, 14))
    found = [f for f in answers(Case(FakeRelease(), FakeRelease(), answers=given)) if isinstance(f, Finding)]
    assert {"answers.compared", "answers.overlap", "answers.identical"} <= {f.id for f in found}
    assert {f.channel for f in found} == {"answers"}


def test_without_answers_nothing_is_said() -> None:
    assert list(answers(Case(FakeRelease(), FakeRelease()))) == []
