"""Renaming rules: the founding case's, and every other way of renaming that must be seen through."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apograph.align.names import Renaming, renaming
from tests.evidence.fakes import tensors


def rules(found: Renaming) -> set[tuple[str, str, int]]:
    return {(r.pattern_from, r.pattern_to, r.count) for r in found.rules}


def language(
    prefix: str = "llm.", layers: int = 4, attention: str = "self_attn", query: str = "q_proj"
) -> list[str]:
    names = [f"{prefix}model.embed_tokens.weight"]
    for n in range(layers):
        at = f"{prefix}model.layers.{n}"
        names += [f"{at}.{attention}.{p}.weight" for p in (query, "k_proj", "v_proj", "o_proj")]
        names += [f"{at}.mlp.{p}_proj.weight" for p in ("gate", "up", "down")]
        names += [f"{at}.input_layernorm.weight", f"{at}.post_attention_layernorm.weight"]
    return [*names, f"{prefix}model.norm.weight", f"{prefix}lm_head.weight"]


def resampler(prefix: str) -> list[str]:
    parts = ["query", "kv_proj.weight", "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.weight"]
    return [f"{prefix}.{p}" for p in [*parts, "ln_q.weight", "ln_q.bias", "proj"]]


def tower(prefix: str, layers: int = 3) -> list[str]:
    names = [f"{prefix}.embeddings.patch_embedding.{p}" for p in ("weight", "bias")]
    for n in range(layers):
        for part in (
            "self_attn.q_proj",
            "self_attn.out_proj",
            "layer_norm1",
            "layer_norm2",
            "mlp.fc1",
            "mlp.fc2",
        ):
            names += [f"{prefix}.encoder.layers.{n}.{part}.{p}" for p in ("weight", "bias")]
    return names


REFERENCE = language() + tower("vpm") + resampler("resampler")


def test_the_founding_case_is_two_prefixes() -> None:
    candidate = language() + tower("vison") + resampler("projection")
    found = renaming(tensors(REFERENCE, 1000), tensors(candidate, 1000))
    assert rules(found) == {
        ("vpm.*", "vison.*", 38),
        ("resampler.*", "projection.*", 8),
        ("llm.*", "llm.*", 39),
    }
    assert found.pairs == tuple(zip(REFERENCE, candidate, strict=True))
    assert (found.complete, found.ordered, found.sizes_equal, found.uncertain) == (True, True, True, 0)
    assert found.order_correlation == 1
    assert found.shapes_equal is None


def test_an_inner_renaming_is_one_rule_beside_the_prefix() -> None:
    found = renaming(tensors(language()), tensors(language("text.", attention="attn", query="query")))
    assert rules(found) == {
        ("llm.*", "text.*", 39),
        ("*.self_attn.*", "*.attn.*", 12),
        ("*.self_attn.q_proj.*", "*.attn.query.*", 4),
    }


def test_a_rule_takes_in_more_of_the_name_where_the_short_one_would_lie() -> None:
    reference = language("a.") + language("b.")
    candidate = language("a.") + language("b.", query="query")
    found = renaming(tensors(reference), tensors(candidate))
    assert rules(found) == {
        ("a.*", "a.*", 39),
        ("b.*", "b.*", 35),
        ("b.model.layers.{n}.self_attn.q_proj.*", "b.model.layers.{n}.self_attn.query.*", 4),
    }


@pytest.mark.parametrize(("before", "after"), [("model.", ""), ("", "base_model.model.")])
def test_a_common_prefix_dropped_or_added(before: str, after: str) -> None:
    reference, candidate = ([f"{p}{n}" for n in REFERENCE] for p in (before, after))
    found = renaming(tensors(reference), tensors(candidate))
    assert rules(found) == {(f"{before}*", f"{after}*", len(REFERENCE))}
    assert found.complete


def test_layers_numbered_from_one() -> None:
    candidate = [n.replace("layers.3.", "layers.4.") for n in language()]
    for number in (2, 1, 0):
        candidate = [n.replace(f"layers.{number}.", f"layers.{number + 1}.") for n in candidate]
    found = renaming(tensors(language()), tensors(candidate))
    assert found.pairs == tuple(zip(language(), candidate, strict=True))
    assert ("*.layers.{n}.*", "*.layers.{n+1}.*", 36) in rules(found)


def test_numbers_without_overlap_answer_by_rank() -> None:
    found = renaming(tensors([f"h.{n}.w" for n in (0, 1, 2)]), tensors([f"h.{n}.w" for n in (7, 9)]))
    assert found.pairs == (("h.0.w", "h.7.w"), ("h.1.w", "h.9.w"))
    assert found.unmatched_reference == ("h.2.w",)


@pytest.mark.parametrize("tag", "pqrstuvw")
def test_the_largest_common_subtree_wins(tag: str) -> None:
    block = [f"one{tag}.w", "two.w", "three.w"]
    large = [f"_.{b}" for b in block] + ["four.w"]
    reference = [f"big.{n}" for n in large] + [f"small.{b}" for b in block]
    candidate = [f"klein.{b}" for b in block] + [f"gross.{n}" for n in large]
    found = dict(renaming(tensors(reference), tensors(candidate)).pairs)
    assert found == {n: n.replace("big", "gross").replace("small", "klein") for n in reference}


def test_few_numbers_after_a_stem_are_parts_of_a_name() -> None:
    found = renaming(tensors(["a.ln1.w", "a.ln2.w"]), tensors(["a.norm1.w", "a.norm2.w"]))
    assert rules(found) == {("*.ln1.*", "*.norm1.*", 1), ("*.ln2.*", "*.norm2.*", 1)}


def test_two_numbers_after_a_stem_are_parts_of_a_name() -> None:
    reference = {"a.fc1.w": (4, 2), "a.fc2.w": (2, 4)}
    found = renaming(tensors(reference), tensors({"a.up.w": (4, 2), "a.down.w": (2, 4)}))
    assert dict(found.pairs) == {"a.fc1.w": "a.up.w", "a.fc2.w": "a.down.w"}


def test_a_dropped_layer_and_an_extra_tower_are_left_over() -> None:
    candidate = language() + tower("vison", 2) + resampler("projection") + ["audio.conv.weight"]
    found = renaming(tensors(REFERENCE), tensors(candidate))
    assert len(found.pairs) == len(REFERENCE) - 12
    assert all(".2." in name for name in found.unmatched_reference)
    assert found.unmatched_candidate == ("audio.conv.weight",)


def test_numbers_at_the_end_of_a_segment_are_layers_too() -> None:
    candidate = [n.replace("layers.", "layer_") for n in language()]
    found = renaming(tensors(language()), tensors(candidate))
    assert found.complete
    assert found.pairs == tuple(zip(language(), candidate, strict=True))
    assert ("*.layers.{n}.*", "*.layer_{n}.*", 36) in rules(found)


def test_a_vocabulary_of_its_own_is_aligned_by_shapes() -> None:
    reference = {"embed.weight": (100, 8), "head.weight": (100, 4)}
    candidate = {"wte.table": (100, 8), "output": (100, 4)}
    for n in range(5):
        reference |= {f"layers.{n}.q_proj.weight": (8, 8), f"layers.{n}.up.weight": (32, 8)}
        candidate |= {f"h.{n}.attn.wq": (8, 8), f"h.{n}.ff.expand": (32, 8)}
    found = renaming(tensors(reference), tensors(candidate))
    assert found.pairs == tuple(zip(reference, candidate, strict=True))
    assert found.shapes_equal == len(reference)
    assert found.uncertain == len(reference)


def test_shapes_forbid_what_names_suggest() -> None:
    found = renaming(tensors({"a.proj.weight": (2, 3)}), tensors({"b.proj.weight": (3, 3)}))
    assert found.pairs == ()


def test_the_numbers_of_a_short_sequence_answer_names() -> None:
    reference = {f"mlp.{n}.weight": s for n, s in ((0, (8, 4)), (2, (4, 8)))}
    found = renaming(tensors(reference), tensors({"mlp.fc1.weight": (8, 4), "mlp.fc2.weight": (4, 8)}))
    assert found.pairs == (("mlp.0.weight", "mlp.fc1.weight"), ("mlp.2.weight", "mlp.fc2.weight"))


def test_another_order_is_measured() -> None:
    found = renaming(tensors(["a", "b", "c"]), tensors(["c", "b", "a"]))
    assert not found.ordered
    assert found.order_correlation == -1
    assert renaming(tensors(["a"]), tensors(["a"])).order_correlation is None


def test_nothing_in_common() -> None:
    found = renaming(tensors(["alpha.weight"]), tensors(["omega.bias", "psi"]))
    assert (found.pairs, found.rules) == ((), ())
    assert renaming(tensors([]), tensors([])).pairs == ()


HOSTILE = [
    "", ".", "..", "...", ".+1", "a..b", "x" * 9999, "a." * 70, "{n}.*", "\ud800", "a.01.b", "a.1.b",
    "9" * 40, "a.99999999999999999999", "a" + "." * 200, "\x1b[31m", "٣.٤", "a_1", "a_2", "a_3", "a_4",
]  # fmt: skip


def test_hostile_names_survive_and_answer_themselves() -> None:
    found = renaming(tensors(HOSTILE), tensors(HOSTILE))
    assert [a for a, _ in found.pairs] == HOSTILE
    assert all(a == b for a, b in found.pairs)


segment = st.sampled_from(
    ["a", "b", "c", "layers", "q_proj", "query", "weight", "bias", "0", "1", "2", "7", "h_1", ""]
)
names = st.lists(st.lists(segment, min_size=1, max_size=5).map(".".join), max_size=25, unique=True)


@settings(max_examples=150, deadline=None)
@given(names, names)
def test_swapping_the_sides_gives_the_inverse(one: list[str], other: list[str]) -> None:
    there, back = renaming(tensors(one), tensors(other)), renaming(tensors(other), tensors(one))
    assert {(b, a) for a, b in there.pairs} == set(back.pairs)
    assert rules(there) == {(b, a, n) for a, b, n in rules(back)}
    assert there.unmatched_reference == back.unmatched_candidate
    assert (there.ordered, there.uncertain) == (back.ordered, back.uncertain)


@settings(max_examples=100, deadline=None)
@given(names, names)
def test_a_pairing_is_one_to_one_and_complete_with_the_rest(one: list[str], other: list[str]) -> None:
    found = renaming(tensors(one), tensors(other))
    assert sorted([a for a, _ in found.pairs] + list(found.unmatched_reference)) == sorted(one)
    assert sorted([b for _, b in found.pairs] + list(found.unmatched_candidate)) == sorted(other)
    assert all(
        (name, name) in found.pairs for name in set(one) & set(other) if not any(map(str.isdigit, name))
    )


@settings(max_examples=50, deadline=None)
@given(names)
def test_a_release_answers_itself(one: list[str]) -> None:
    found = renaming(tensors(one), tensors(one))
    assert found.pairs == tuple((n, n) for n in one)
    assert (found.complete, found.ordered) == (True, True)
    assert all(r.pattern_from == r.pattern_to for r in found.rules)


def test_ten_thousand_shuffled_and_renamed_names() -> None:
    reference = [f"{n}" for t in range(20) for n in tower(f"tower{t}x", 40)]
    candidate = [n.replace("tower", "part").replace(".encoder.", ".body.") for n in reference]
    random.Random(1).shuffle(candidate)
    found = renaming(tensors(reference), tensors(candidate))
    assert len(found.pairs) == len(reference) == 9640
    assert all(b.endswith(a.split("layers")[-1]) for a, b in found.pairs if "layers" in a)
