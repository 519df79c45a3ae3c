"""Public statements judged one by one."""

from datetime import date
from typing import Any

import pytest

from apograph.evidence.claims import statements
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Message
from apograph.release.types import Card
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, Step, tensors, tokenizer

CONFIG = {
    "model_type": "own",
    "auto_map": {"AutoModel": "modeling.Own"},
    "num_hidden_layers": 3,
    "hidden_size": 8,
    "intermediate_size": 16,
    "num_attention_heads": 2,
    "vocab_size": 11,
    "max_position_embeddings": 64,
    "hidden_act": "silu",
    "query_num": 6,
    "vision_config": {"num_hidden_layers": 2, "hidden_size": 4, "hidden_act": "gelu_pytorch_tanh"},
}
MODELING = """
import torch
from torch import nn
from transformers import PreTrainedModel

class Projector(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.query = nn.Parameter(torch.zeros(6, n))
        self.attn = nn.MultiheadAttention(n, 2)

    def forward(self, x):
        return self.attn(self.query, x, x)[0]

class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.projector = Projector(config.hidden_size)

    def forward(self, x):
        return self.projector(x)
"""
NAMES = {
    "projector.query": (6, 8), "projector.attn.in_proj_weight": (24, 8), "projector.attn.in_proj_bias": (24,),
    "projector.attn.out_proj.weight": (8, 8), "projector.attn.out_proj.bias": (8,),
}  # fmt: skip
PARAMETERS = 48 + 192 + 24 + 64 + 8
MIT = "Permission is hereby granted, free of charge, to any person obtaining a copy of this software"


def release(**more: Any) -> FakeRelease:
    files = {"config.json": CONFIG, "modeling.py": MODELING} | more.pop("files", {})
    more.setdefault("tensors", tensors(NAMES))
    return FakeRelease(files, **more)


def findings(
    claims: list[dict[str, Any]], candidate: FakeRelease | None = None, **case: Any
) -> list[Finding]:
    given = tuple({"where": "the announcement", "side": "candidate", **c} for c in claims)
    reference = case.pop("reference", FakeRelease({"config.json": {"model_type": "other"}}))
    made = list(statements(Case(reference, candidate or release(), claims=given, **case)))
    found = [f for f in made if isinstance(f, Finding)]
    for finding in found:
        assert text(finding.message)
        reading = finding.exhibits[0].data["rows"][0][-1]
        assert text(Message(reading["key"], reading["params"]))
    return found


def outcome(name: str, value: Any, candidate: FakeRelease | None = None, part: str = "", **case: Any) -> str:
    claim = {"property": name, "value": value} | ({"part": part} if part else {})
    return findings([claim], candidate, **case)[0].message.key.removeprefix("claims.")


@pytest.mark.parametrize(
    ("name", "part", "right", "wrong"),
    [
        ("num_layers", "language", 3, 2),
        ("num_layers", "vision", 2, 3),
        ("num_layers", "", 2, 4),
        ("hidden_size", "language", 8, 4),
        ("num_heads", "", 2, 3),
        ("vocabulary_size", "", 11, 12),
        ("context_length", "", 64, 32),
        ("queries", "", 6, 64),
        ("parameter_count", "", PARAMETERS, 2 * PARAMETERS),
        ("parameter_count", "", PARAMETERS * 1.04, PARAMETERS * 1.06),
        ("attention_type", "projector", "cross", "self"),
        ("attention_type", "", "cross", "self"),
        ("activation", "language", "SiLU", "gelu"),
        ("activation", "vision", "gelu", "silu"),
    ],
)
def test_each_property_supported_and_contradicted(name: str, part: str, right: Any, wrong: Any) -> None:
    assert outcome(name, right, part=part) == "supported"
    assert outcome(name, wrong, part=part) == "contradicted"


def test_a_contradiction_is_supporting_evidence_and_names_its_place() -> None:
    found = findings([{"property": "attention_type", "value": "self", "part": "projector"}])[0]
    assert found.bearing is Bearing.SUPPORTING
    assert [(p.side, p.path, p.start) for p in found.locations] == [("candidate", "modeling.py", 13)]
    assert found.alternatives
    assert findings([{"property": "num_layers", "value": 3}])[0].bearing is Bearing.CONTEXT


def test_an_activation_in_a_part_that_has_none() -> None:
    assert outcome("activation", "gelu", part="projector") == "contradicted"


def test_what_artefacts_cannot_decide() -> None:
    bare = FakeRelease({"README.md": "x"})
    for name, value in (
        ("num_layers", 3), ("hidden_size", 8), ("queries", 6), ("parameter_count", 9),
        ("attention_type", "self"),
        ("activation", "gelu"), ("vision_encoder", "siglip-so400m"), ("trained_from_scratch", True),
        ("training_cost", 500), ("released_on", "2024-05-28"), ("license", "mit"), ("base_model", "a/bcdef"),
        ("tokenizer_origin", "a/bcdef"),
    ):  # fmt: skip
        assert outcome(name, value, bare) == "unchecked", name


def test_parameters_from_an_index_are_bounded_by_its_bytes() -> None:
    code = {"modeling.py": "x = 1\n"}
    index = release(tensors=tensors(list(NAMES), total_size=4000), files=code)
    assert outcome("parameter_count", 2000, index) == "unchecked"
    assert outcome("parameter_count", 900, index) == "contradicted"
    assert outcome("parameter_count", 9000, index) == "contradicted"
    fitting = release(tensors=tensors(list(NAMES), total_size=4 * PARAMETERS))
    assert outcome("parameter_count", PARAMETERS, fitting) == "supported"


def test_a_price_is_bounded_only_by_what_the_statement_itself_gives() -> None:
    # 3 layers * (2 * 8 * 8 + 2 * 8 * 16) = 1152 parameters; 2 * 1152 * 1e9 / 1e6 / 3600 h = 640 h
    given = {"tokens": 1e9, "flops_per_second": 1e6, "usd_per_hour": 2}
    assert outcome("training_cost", 500) == "unchecked"
    assert outcome("training_cost", {"usd": 1270, **given}) == "contradicted"
    assert outcome("training_cost", {"usd": 1290, **given}) == "unchecked"
    found = findings([{"property": "training_cost", "value": {"usd": 1290, **given}}])[0]
    assert found.exhibits[0].data["rows"][0][-1]["params"]["bound"] == pytest.approx(1280)


def test_an_image_tower_is_known_by_its_depth() -> None:
    def tower(n: int) -> FakeRelease:
        return release(tensors=tensors([f"vision.layers.{i}.weight" for i in range(n)]))

    assert outcome("vision_encoder", "google/siglip-so400m-patch14-384", tower(27)) == "supported"
    assert outcome("vision_encoder", "google/siglip-so400m-patch14-384", tower(26)) == "supported"
    assert outcome("vision_encoder", "google/siglip-so400m-patch14-384", tower(24)) == "contradicted"
    assert outcome("vision_encoder", "somebody/else", tower(27)) == "unchecked"


def test_the_day_of_release_against_the_first_commit() -> None:
    noon = 1716897600  # 2024-05-28 12:00 UTC
    history = FakeRelease(steps=[Step(noon, {"README.md": "x"})])
    assert outcome("released_on", "2024-05-28", history) == "supported"
    assert outcome("released_on", "2024-06-03", history) == "supported"
    assert outcome("released_on", "2024-05-26", history) == "contradicted"
    assert date.fromisoformat("2024-05-28")


def test_licences_in_texts_and_notices() -> None:
    licensed = release(files={"LICENSE": MIT})
    assert outcome("license", "mit", licensed) == "supported"
    assert outcome("license", "apache-2.0", licensed) == "contradicted"
    notice = release(files={"x.py": "# Licensed under the Apache License, Version 2.0\n"})
    assert outcome("license", "apache-2.0", notice) == "unchecked"
    assert outcome("license", "mit") == "unchecked"


def test_bases_and_tokenizers() -> None:
    base = FakeRelease({}, ref="meta/Big-Base", tokenizer=tokenizer(added={"<|eot|>": 3}))
    same = release(tokenizer=tokenizer(added={"<|eot|>": 3}))
    more = release(tokenizer=tokenizer(added={"<|eot|>": 3, "<slice>": 4}))
    other = release(tokenizer=tokenizer(added={"<|eot|>": 3, "<slice>": 4}))
    assert outcome("tokenizer_origin", "meta/Big-Base", same, bases=(base,)) == "supported"
    assert outcome("base_model", "meta/Big-Base", same, bases=(base,)) == "supported"
    claim = [{"property": "tokenizer_origin", "value": "Big-Base"}]
    found = findings(claim, more, bases=(base,), reference=other)[0]
    assert found.message.key == "claims.contradicted"
    assert found.exhibits[0].data["rows"][0][-1]["params"]["shared"] == 1
    named = release(files={"config.json": {**CONFIG, "_name_or_path": "meta/Big-Base"}})
    assert outcome("base_model", "meta/Big-Base", named) == "supported"


def test_model_cards_are_read_as_claims() -> None:
    card = Card("README.md", {"base_model": ["meta/Big-Base"], "license": "mit"}, "")
    found = findings(
        [{"property": "trained_from_scratch", "value": True}], release(card=card, files={"LICENSE": MIT})
    )
    assert [(f.id, f.message.key) for f in found] == [
        ("claims.trained_from_scratch", "claims.contradicted"),
        ("claims.base_model", "claims.unchecked"),
        ("claims.license", "claims.supported"),
    ]


def test_ids_are_unique_and_sides_are_kept_apart() -> None:
    both = [
        {"property": "num_layers", "value": 3},
        {"property": "num_layers", "value": 3, "side": "reference"},
    ]
    found = findings(both)
    assert [f.id for f in found] == ["claims.num_layers", "claims.num_layers:2"]
    assert [f.message.key for f in found] == ["claims.supported", "claims.unchecked"]
