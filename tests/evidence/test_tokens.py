"""Placeholders and the gaps that somebody's own tokens left in their numbers."""

from __future__ import annotations

from apograph.evidence.tokens import gaps, placeholders, shared_tokens
from tests.evidence.fakes import tokenizer


def llama(own: dict[int, str], first: int = 100) -> dict[str, int]:
    """Thirty reserved tokens from ``first`` on, of which ``own`` replaces some (by number)."""
    return {own.get(n, f"<|reserved_{n}|>"): first + n for n in range(30)}


OWN = {5: "<image>", 6: "</image>", 7: "<slice>", 8: "</slice>"}


def test_a_gap_is_seen_without_the_ancestor() -> None:
    (gap,) = gaps(llama(OWN).items())
    assert gap.missing == gap.replaced == 4
    assert gap.fillers == (("<image>", 105), ("</image>", 106), ("<slice>", 107), ("</slice>", 108))
    assert gaps(llama({}).items()) == []


def test_a_token_of_the_ancestor_between_placeholders_is_not_counted_as_replaced() -> None:
    names = {f"<|reserved_{n}|>": 100 + n for n in range(10)} | {"<|eot|>": 110}
    names |= {f"<|reserved_{n}|>": 101 + n for n in range(10, 20)}
    assert gaps(names.items()) == []  # the numbers run on
    names |= {"<own>": 106}
    del names["<|reserved_6|>"]
    (gap,) = gaps(names.items())
    assert (gap.missing, gap.fillers) == (1, (("<own>", 106),))


def test_few_numbered_tokens_are_no_placeholders() -> None:
    assert placeholders((f"<loc{n}>", n) for n in range(15)) == {}
    assert placeholders((f"<loc{n}>", n) for n in range(16)).keys() == {("<loc", ">")}


def test_what_two_tokenizers_share() -> None:
    a = tokenizer(added={**llama(OWN), "</s>": 1, "<a>": 2, "<m>": 3})
    b = tokenizer(added={**llama(OWN), "</s>": 1, "<b>": 2, "<m>": 4})
    found = shared_tokens(a, b, {("<image>", 105): True})
    assert len(found.equal) == 31
    assert len(found.placeholders) == 26
    assert (found.moved, found.reference_only, found.candidate_only) == tuple(
        map(frozenset, (["<m>"], ["<a>"], ["<b>"]))
    )
    assert [t for t, _ in found.telling] == ["</image>", "<slice>", "</slice>"]  # </s> is everybody's
    assert found.replaced == 3


def test_gaps_count_only_where_both_have_the_same() -> None:
    found = shared_tokens(tokenizer(added=llama(OWN)), tokenizer(added=llama({**OWN, 9: "<x>"})), {})
    assert len(found.telling) == 4
    assert (found.filling, found.replaced) == ((), 0)
