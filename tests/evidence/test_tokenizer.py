"""Tokenizers: what counts with a base, without one, and by object id alone."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.evidence import tokenizer as examiners
from apograph.evidence import tokenizer_traces as traces
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Unexamined
from apograph.release.types import Tokenizer
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, Step, missing, tokenizer
from tests.evidence.test_tokens import OWN, llama

ALL = (
    examiners.added_tokens,
    examiners.vocabulary,
    examiners.settings,
    traces.revision,
    traces.unused,
)


def run(
    reference: FakeRelease,
    candidate: FakeRelease,
    bases: tuple[FakeRelease, ...] = (),
) -> tuple[dict[str, Finding], list[Unexamined]]:
    results = [r for examiner in ALL for r in examiner(Case(reference, candidate, bases))]
    found = [r for r in results if isinstance(r, Finding)]
    for finding in found:
        said = [
            finding.message,
            *finding.alternatives,
            *finding.limits,
            *(x.caption for x in finding.exhibits),
        ]
        assert all(text(message) for message in said)
    return {f.id: f for f in found}, [r for r in results if isinstance(r, Unexamined)]


def having(made: Tokenizer, files: dict[str, str] | None = None) -> FakeRelease:
    return FakeRelease({**(files or {})}, tokenizer=made)


def added(one: dict[str, int], other: dict[str, int], *bases: dict[str, int]) -> Finding:
    releases = [having(tokenizer(added=tokens)) for tokens in (one, other, *bases)]
    return run(releases[0], releases[1], tuple(releases[2:]))[0]["tokenizer.added"]


def test_tokens_in_the_gaps_of_placeholders_are_distinctive_without_a_base() -> None:
    found = added(llama(OWN), llama(OWN))
    assert (found.bearing, found.message.key) == (Bearing.DISTINCTIVE, "tokenizer.added.filling")
    assert found.message.params["replaced"] == 4
    keys = [m.key for m in found.limits]
    assert keys == ["tokenizer.added.no_ancestor", "explain.no_base"]


def test_a_base_with_the_same_tokens_explains_them() -> None:
    assert added(llama(OWN), llama(OWN), llama(OWN)).bearing is Bearing.CONTEXT


def test_a_base_with_the_words_at_other_ids_explains_the_words_only() -> None:
    found = added(llama(OWN), llama(OWN), {content: n for n, content in OWN.items()})
    assert found.bearing is Bearing.DISTINCTIVE
    assert "tokenizer.added.elsewhere" in {m.key for m in found.limits}


def test_appended_tokens_are_distinctive_only_beyond_the_ancestor() -> None:
    own = llama({}) | {"<box>": 200, "</box>": 201, "<quad>": 202}
    assert added(own, own).bearing is Bearing.SUPPORTING
    assert added(own, own, llama({})).bearing is Bearing.DISTINCTIVE
    stranger = {"<x>": 1, "<y>": 2}
    assert added(own, own, stranger).bearing is Bearing.SUPPORTING


def test_everybodys_tokens_and_placeholders_say_nothing() -> None:
    plain = llama({}) | {"<s>": 1, "</s>": 2, "<unk>": 0, "<pad>": 3}
    found = added(plain, plain)
    assert (found.bearing, found.message.key) == (Bearing.CONTEXT, "tokenizer.added.explained")
    assert added({"<a>": 1}, {"<b>": 1}).message.key == "tokenizer.added.none"


def vocabulary(a: dict[str, int], b: dict[str, int], *bases: dict[str, int]) -> Finding:
    releases = [having(tokenizer(vocab=v, merges=list(v))) for v in (a, b, *bases)]
    return run(releases[0], releases[1], tuple(releases[2:]))[0]["tokenizer.vocabulary"]


def test_vocabularies() -> None:
    words = {f"w{n}": n for n in range(50)}
    more = words | {"x": 50, "y": 51, "z": 52}
    assert vocabulary(words, words).bearing is Bearing.SUPPORTING
    assert vocabulary(words, words).message.key == "tokenizer.vocabulary.same"
    assert vocabulary(words, words, words).bearing is Bearing.CONTEXT
    assert vocabulary(more, more, words).bearing is Bearing.DISTINCTIVE
    assert vocabulary(words, more).message.key == "tokenizer.vocabulary.part"
    shifted = {w: n + 1 for w, n in words.items()}
    assert vocabulary(words, shifted).message.key == "tokenizer.vocabulary.reordered"
    assert vocabulary(words, {"q": 1}).message.key == "tokenizer.vocabulary.none"
    found = {m.name: (m.value, m.n) for m in vocabulary(words, more).measures}
    assert found["tokenizer.merges_common"] == (50, 50)
    assert found["tokenizer.merges_run"] == (50, 50)


def test_an_absent_vocabulary_is_equal_by_its_object_id() -> None:
    a = FakeRelease(tokenizer=tokenizer(), absent=[missing("tokenizer.json", "28" * 20)])
    b = FakeRelease(tokenizer=tokenizer(), absent=[missing("sub/tokenizer.json", "28" * 20)])
    found, gaps = run(a, b)
    assert found["tokenizer.vocabulary"].message.key == "tokenizer.vocabulary.by_id"
    assert found["tokenizer.vocabulary"].bearing is Bearing.SUPPORTING
    assert [g.side for g in gaps] == ["reference", "candidate"]
    assert run(a, b, (b,))[0]["tokenizer.vocabulary"].bearing is Bearing.CONTEXT
    other = FakeRelease(tokenizer=tokenizer(), absent=[missing("tokenizer.json", "29" * 20)])
    assert "tokenizer.vocabulary" not in run(a, other)[0]


def test_what_is_shared_has_other_explanations_and_limits() -> None:
    used = {"chat.py": " ".join(OWN.values())}
    a, b, base = (
        having(tokenizer(vocab={"a": 1}, added=llama(own)), code)
        for own, code in ((OWN, used), (OWN, {"other.py": "x = 1"}), ({}, {}))
    )
    hidden = [FakeRelease(tokenizer=tokenizer(), absent=[missing("tokenizer.json", "28" * 20)]) for _ in "ab"]
    found = run(a, b, (base,))[0]
    by_id = run(*hidden, (base,))[0]["tokenizer.vocabulary"]
    for one in (found["tokenizer.vocabulary"], found["tokenizer.unused:candidate"], by_id):
        assert one.alternatives, one.id
        assert one.limits, one.id


def with_past(*states: dict[str, Any]) -> FakeRelease:
    steps = [Step((n + 1) * 86400, {"tokenizer_config.json": state}) for n, state in enumerate(states)]
    release = FakeRelease(steps=steps)
    release.tokenizer = tokenizer(config=states[-1])
    return release


def test_the_state_of_a_certain_time_is_found_by_its_values() -> None:
    may: dict[str, Any] = {"max": 2048, "cls": "Wrapper"}
    june: dict[str, Any] = {"max": 10**30, "cls": "Fast"}
    candidate = FakeRelease({"t/tokenizer_config.json": json.dumps(may)})
    candidate.tokenizer = tokenizer(config=may, files=["t/tokenizer_config.json"])
    found = run(with_past(may, june), candidate)[0]["tokenizer.revision:candidate"]
    assert found.message.key == "tokenizer.revision.equal"
    assert (found.message.params["since"], found.message.params["until"]) == ("1970-01-02", "1970-01-03")
    assert found.message.params["now"] == 2
    assert found.bearing is Bearing.SUPPORTING
    assert "tokenizer.revision:candidate" not in run(with_past(june, may), candidate)[0]
    explained = run(with_past(may, june), candidate, (with_past(may),))[0]
    assert explained["tokenizer.revision:candidate"].bearing is Bearing.CONTEXT
    mirrored = run(candidate, with_past(may, june))[0]["tokenizer.revision:reference"]
    assert mirrored.message.params["since"] == "1970-01-02"


def test_tokens_that_only_the_others_code_uses() -> None:
    reference = having(
        tokenizer(added=llama(OWN)), {"t.py": "start = '<slice>'\nend = '</slice>'\nx = '<image>'"}
    )
    candidate = having(tokenizer(added=llama(OWN)), {"own.py": "x = '<image>'"})
    found = run(reference, candidate)[0]
    assert found["tokenizer.unused:candidate"].message.params["n"] == 2
    assert "tokenizer.unused:reference" not in found
    assert "tokenizer.unused:reference" in run(candidate, reference)[0]


contents = st.sampled_from(["<a>", "<b>", "<c>", "<image>", "\x1b[0m", "\ud800", "", "<r0>", "<r1>"])
made = st.builds(
    tokenizer,
    vocab=st.none() | st.dictionaries(contents, st.integers(0, 5), max_size=4),
    added=st.dictionaries(contents, st.integers(0, 9), max_size=6),
    config=st.dictionaries(st.sampled_from(["max", "cls"]), st.integers(0, 2), max_size=2),
    chat_template=st.none() | st.sampled_from(["{{ x }}", ""]),
)


@settings(max_examples=80, deadline=None)
@given(made, made, made)
def test_swapping_the_sides_mirrors(one: Tokenizer, other: Tokenizer, base: Tokenizer) -> None:
    there, _ = run(having(one), having(other), (having(base),))
    back, _ = run(having(other), having(one), (having(base),))
    assert there.keys() == back.keys()
    for key, finding in there.items():
        assert (finding.bearing, finding.message.key) == (back[key].bearing, back[key].message.key)
        values = [
            sorted((m.name, m.value) for m in f.measures if "_only" not in m.name)
            for f in (finding, back[key])
        ]
        assert [v for v in values[0] if "ence" not in v[0] and "date" not in v[0]] == [
            v for v in values[1] if "ence" not in v[0] and "date" not in v[0]
        ]
