"""A release's own code against its own checkpoint, in small."""

from typing import Any

import pytest

from apograph.align.names import renaming
from apograph.evidence.consistency import own_parts
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Message, Unexamined
from apograph.release.types import Card
from apograph.report.words import text
from tests.evidence.fakes import FakeRelease, tensors, tokenizer

CONFIG = {
    "model_type": "own",
    "auto_map": {"AutoConfig": "config.OwnConfig", "AutoModel": "modeling.Own"},
    "query_num": 6,
    "width": 4,
    "layers": 3,
    "drop_last": False,
}
CONFIGURATION = """
from transformers import PretrainedConfig

class OwnConfig(PretrainedConfig):
    def __init__(self, query_num=2, width=4, layers=3, drop_last=True, **kwargs):
        self.query_num = query_num
        self.width = width
        self.layers = layers
        self.drop_last = drop_last
        super().__init__(**kwargs)
"""
MODELING = """
import torch
from torch import nn
from transformers import PreTrainedModel
from .config import OwnConfig

class Tower(nn.Module):
    def __init__(self, config):
        super().__init__()
        self.blocks = nn.ModuleList([nn.Linear(config.width, config.width) for _ in range(config.layers)])

class Own(PreTrainedModel):
    def __init__(self, config):
        super().__init__(config)
        self.tower = self.build(config)
        self.query = nn.Parameter(torch.zeros(config.query_num, config.width))

    def build(self, config):
        tower = Tower(config)
        if config.drop_last:
            tower.blocks = tower.blocks[:-1]
        return tower

    def forward(self, x):
        return count(x, self.config.query_num)

def count(x, query_num):
    return x[:query_num]
"""
SHAPES = {f"tower.blocks.{n}.weight": (4, 4) for n in range(3)} | {
    f"tower.blocks.{n}.bias": (4,) for n in range(3)
}
SHAPES["query"] = (6, 4)


def release(changes: dict[str, tuple[str, str]] | None = None, **more: Any) -> FakeRelease:
    files: dict[str, Any] = {"config.json": CONFIG, "config.py": CONFIGURATION, "modeling.py": MODELING}
    for path, (old, new) in (changes or {}).items():
        assert old in files[path]
        files[path] = files[path].replace(old, new)
    files |= more.pop("files", {})
    more.setdefault("tensors", tensors(SHAPES))
    return FakeRelease(files, **more)


def findings(candidate: FakeRelease, reference: FakeRelease | None = None, **case: Any) -> dict[str, Finding]:
    made = list(own_parts(Case(reference or release(), candidate, **case)))
    found = {f.id: f for f in made if isinstance(f, Finding)}
    assert len(found) == sum(isinstance(f, Finding) for f in made)
    for finding in found.values():
        assert text(finding.message)
        for exhibit in finding.exhibits:
            for row in exhibit.data["rows"]:
                assert all(text(Message(c["key"], c["params"])) for c in row if isinstance(c, dict))
    return found


def of_candidate(found: dict[str, Finding]) -> list[str]:
    return sorted(
        i.removeprefix("consistency.").removesuffix(":candidate") for i in found if "candidate" in i
    )


def test_a_release_that_fits_says_so_and_nothing_else() -> None:
    found = findings(release())
    assert sorted(found) == ["consistency.fits:candidate", "consistency.fits:reference"]
    fits = found["consistency.fits:candidate"]
    assert fits.bearing is Bearing.CONTEXT
    assert {m.name: m.value for m in fits.measures} == {
        "tensors_stored": 7, "tensors_named_by_code": 7, "parameters_by_code": 3 * 20 + 24,
    }  # fmt: skip


def test_a_layer_that_the_configured_code_drops_but_the_checkpoint_stores() -> None:
    found = findings(release(files={"config.json": {**CONFIG, "drop_last": True}}))
    assert of_candidate(found) == ["dropped_layers", "fits_other", "misfit"]
    dropped = found["consistency.dropped_layers:candidate"]
    assert dropped.message.params["left"] == 2
    assert dropped.message.params["last"] == 2
    assert [(p.path, p.start) for p in dropped.locations] == [("modeling.py", 21)]
    misfit = found["consistency.misfit:candidate"]
    assert misfit.bearing is Bearing.SUPPORTING
    assert misfit.exhibits[0].data["rows"][0] == ["tower.blocks.*", 2, 3]


def test_the_same_code_with_the_checkpoint_that_it_drops_fits() -> None:
    kept = {n: s for n, s in SHAPES.items() if ".2." not in n}
    found = findings(release(files={"config.json": {**CONFIG, "drop_last": True}}, tensors=tensors(kept)))
    assert of_candidate(found) == ["fits"]


def test_a_drop_in_code_that_nothing_reaches_is_judged_by_the_depth_of_the_named_tower() -> None:
    code = "def tower(model):\n    model.encoder.layers = model.encoder.layers[:-1]\n    return model\n"
    changes = {"modeling.py": ("from .config", "from .tower import tower\nfrom .config")}
    card = Card("README.md", {}, "Built on siglip-so400m.")
    for stored, expected in ((27, ["dropped_layers"]), (26, [])):
        names = [*SHAPES, *(f"vision.encoder.layers.{n}.weight" for n in range(stored))]
        candidate = release(changes, files={"tower.py": code}, tensors=tensors(names), card=card)
        assert [k for k in of_candidate(findings(candidate)) if k == "dropped_layers"] == expected


def test_query_counts_that_differ() -> None:
    changes = {"modeling.py": ("count(x, self.config.query_num)", "count(x, 2)")}
    found = findings(release(changes))
    assert of_candidate(found) == ["fits", "queries"]
    rows = found["consistency.queries:candidate"].exhibits[0].data["rows"]
    assert [r[2] for r in rows] == [6, 2, 2, 6]
    assert [r[3]["key"].rpartition(".")[2] for r in rows] == ["agrees", "differs", "replaced", "agrees"]


def test_query_count_of_the_checkpoint_differs() -> None:
    found = findings(release(tensors=tensors({**SHAPES, "query": (9, 4)})))
    assert of_candidate(found) == ["misfit", "queries"]
    assert ["query", "6×4", "9×4"] in found["consistency.misfit:candidate"].exhibits[0].data["rows"]


def test_a_model_file_that_cannot_run_and_one_that_fails_when_reached() -> None:
    found = findings(release({"modeling.py": ("from .config", "from .configuration")}))
    assert "cannot_run" in of_candidate(found)
    found = findings(release({"modeling.py": ("return count(", "return counts(")}))
    assert of_candidate(found) == ["fails_in_use", "fits"]


def test_an_entry_file_that_is_not_python() -> None:
    found = findings(release({"modeling.py": ("class Tower", "class class Tower")}))
    assert of_candidate(found) == ["cannot_run"]


def test_a_class_path_into_a_module_that_the_release_lacks() -> None:
    own = tokenizer(config={"auto_map": {"AutoTokenizer": ["elsewhere.Fast", None]}})
    found = findings(release(tokenizer=own))
    assert of_candidate(found) == ["class_path", "fits"]


def test_tokens_that_the_vocabulary_lacks() -> None:
    changes = {"modeling.py": ("def count", "IMAGE = '<image>'\n\ndef count")}
    template = "<|user|>{{ text }}<|end|>"
    lacking = tokenizer(vocab={"a": 0}, added={"<|user|>": 1}, chat_template=template)
    found = findings(release(changes, tokenizer=lacking))
    assert [r[0] for r in found["consistency.tokens:candidate"].exhibits[0].data["rows"]] == [
        "<image>",
        "<|end|>",
    ]
    whole = tokenizer(vocab={"<image>": 0}, added={"<|user|>": 1, "<|end|>": 2}, chat_template=template)
    assert of_candidate(findings(release(changes, tokenizer=whole))) == ["fits"]
    unknown = tokenizer(vocab=None, added={"<|user|>": 1}, chat_template=template)
    assert of_candidate(findings(release(changes, tokenizer=unknown))) == ["fits"]


def misfit_candidate() -> FakeRelease:
    """The reference's checkpoint under other names beside code that builds none of it."""
    stub = MODELING.replace("self.tower = self.build(config)", "self.vision = count")
    renamed = {n.replace("tower", "vison"): s for n, s in SHAPES.items()}
    return release(files={"modeling.py": stub}, tensors=tensors(renamed))


@pytest.mark.parametrize("swapped", [False, True])
def test_a_checkpoint_that_fits_the_other_sides_code_names_its_source(swapped: bool) -> None:
    sides = (misfit_candidate(), release()) if swapped else (release(), misfit_candidate())
    copy, source = ("reference", "candidate") if swapped else ("candidate", "reference")
    found = findings(sides[1], sides[0])
    strong = found[f"consistency.fits_other:{copy}"]
    assert (strong.arrow, strong.bearing) == (source, Bearing.SUPPORTING)
    assert strong.measures[0].value == 7
    assert f"consistency.unbuilt:{copy}" in found


def test_a_base_whose_code_fits_too_takes_the_arrow_away() -> None:
    found = findings(misfit_candidate(), bases=(release(),))
    assert found["consistency.fits_other:candidate"].arrow is None


def test_the_renaming_of_another_examiner_is_used() -> None:
    reference, candidate = release(), misfit_candidate()
    assert reference.tensors is not None
    assert candidate.tensors is not None
    shared: dict[str, Any] = {"names.renaming": renaming(reference.tensors, candidate.tensors)}
    assert "consistency.fits_other:candidate" in findings(candidate, reference, shared=shared)


def test_what_cannot_be_examined_is_named() -> None:
    empty = FakeRelease({"config.json": {"model_type": "own"}})
    nothing = [u for u in own_parts(Case(release(), empty)) if isinstance(u, Unexamined)]
    assert [(u.side, u.reason.key, u.fault) for u in nothing] == [
        ("candidate", "consistency.gap.no_code", False)
    ]
    converted = release(files={"config.json": {**CONFIG, "quantization_config": {"bits": 4}}})
    keys = [u.reason.key for u in own_parts(Case(release(), converted)) if isinstance(u, Unexamined)]
    assert keys == ["consistency.gap.converted"]
    large = release(files={"modeling.py": MODELING + "x = 1\n" * 60_000})
    gaps = [u for u in own_parts(Case(release(), large)) if isinstance(u, Unexamined)]
    assert [(u.path, u.fault, u.code) for u in gaps if u.fault] == [("modeling.py", True, 5)]
