"""Reasons why code cannot run, planted one by one, and the same code without the fault."""

from typing import Any

import pytest

from apograph.release.static_model import read_model

CONFIG = {"m/config.json": {"auto_map": {"AutoConfig": "config.Config", "AutoModel": "modeling.Own"}}}
GOOD = {
    "m/config.py": "from transformers import PretrainedConfig\n\nclass Config(PretrainedConfig):\n    pass\n",
    "m/helper.py": """
import math

SIZE = 3

def build(width, depth=2):
    return math.sqrt(width) * depth

class Part:
    def __init__(self, size):
        self.size = size

    def grow(self):
        return self.size + 1
""",
    "m/modeling.py": """
from torch import nn
from transformers import PreTrainedModel
from transformers.models.idefics2.modeling_idefics2 import Idefics2VisionTransformer
from .config import Config
from .helper import Part, build, SIZE
try:
    from .fast import quick
except ImportError:
    quick = None

class Own(PreTrainedModel):
    config_class = Config

    def __init__(self, config):
        super().__init__(config)
        self.part = Part(build(SIZE))
        self.vision = Idefics2VisionTransformer(config)

    def forward(self, x: "Unknown"):
        values = [y for y in x if (z := y) > SIZE]
        return values, z, __file__
""",
}


def faults(
    change: dict[str, str] | None = None, config: Any = CONFIG, **files: str
) -> list[tuple[str, str, int, str]]:
    sources = {**GOOD, **(change or {}), **files}
    found = read_model(sources, list(sources), config)["faults"]
    return [(f["kind"], f["path"], f["line"], f["when"]) for f in found]


def edited(path: str, old: str, new: str) -> dict[str, str]:
    assert old in GOOD[path]
    return {path: GOOD[path].replace(old, new)}


def line_of(change: dict[str, str], text: str) -> int:
    (content,) = change.values()
    return next(n for n, line in enumerate(content.splitlines(), 1) if text in line)


def test_sound_code_has_no_fault() -> None:
    assert faults() == []


@pytest.mark.parametrize(
    ("old", "new", "kind", "when", "where"),
    [
        ("from .helper import", "from .helpers import", "missing_module", "load", "from .helpers"),
        ("Part, build, SIZE", "Part, build, SIZE, LARGE", "missing_import", "load", "LARGE"),
        ("from .helper import", "from helper import", "absolute_sibling", "load", "from helper"),
        ("return values, z", "return valeus, z", "undefined_name", "call", "valeus"),
        ("config_class = Config", "config_class = Configuration", "undefined_name", "load", "Configuration"),
        ("build(SIZE)", "build(SIZE, 2, 3)", "refused_arguments", "call", "build("),
        ("build(SIZE)", "build(depth=2)", "refused_arguments", "call", "build("),
        ("build(SIZE)", "build(SIZE, height=2)", "refused_arguments", "call", "build("),
        ("Transformer(config)", "Transformer()", "no_configuration", "call", "Transformer()"),
        ("def forward", "def foward", "no_forward", "call", "class Own"),
        ("return values, z, __file__", "return (", "syntax", "load", "return ("),
    ],
)
def test_one_planted_fault_is_found_alone(old: str, new: str, kind: str, when: str, where: str) -> None:
    change = edited("m/modeling.py", old, new)
    found = faults(change)
    if kind == "syntax":  # then the entry class is missing too
        assert (kind, "m/modeling.py", line_of(change, where), when) in found
    else:
        assert found == [(kind, "m/modeling.py", line_of(change, where), when)]


def test_an_attribute_that_nothing_sets() -> None:
    change = edited("m/helper.py", "return self.size + 1", "return self.sise + 1")
    assert faults(change) == [("unknown_member", "m/helper.py", 14, "call")]


def test_an_entry_that_names_an_absent_class_or_module() -> None:
    lacking = {"m/tokenizer_config.json": {"auto_map": {"AutoTokenizer": ["tokens.Slow", None]}}, **CONFIG}
    assert faults(None, lacking) == [("missing_entry", "m/tokenizer_config.json", 0, "load")]
    wrong = {"m/config.json": {"auto_map": {"AutoModel": "modeling.Other"}}}
    assert faults(None, wrong) == [("missing_class", "m/config.json", 0, "load")]
    elsewhere = {"m/config.json": {"auto_map": {"AutoModel": "someone/else--modeling.Other"}}}
    assert faults(None, elsewhere) == []


def test_a_file_whose_content_is_absent_is_not_missing() -> None:
    change = edited("m/modeling.py", "from .helper import", "from .other import")
    sources = {**GOOD, **change}
    assert read_model(sources, [*sources, "m/other.py"], CONFIG)["faults"] == []
    assert read_model(sources, [*sources, "m/other.cpython-311.so"], CONFIG)["faults"] == []


def test_imports_from_beyond_the_release_are_not_missing() -> None:
    change = edited(
        "m/modeling.py", "from torch import nn", "from ...activations import ACT2FN\nfrom ..x import y"
    )
    assert faults(change) == []


@pytest.mark.parametrize(
    "line",
    [
        "from os.path import *",
        "globals()['a'] = 1",
        "if True:\n    import a\nelse:\n    a = 1",
        "def f():\n    global a\n    a = 1",
    ],
)
def test_names_that_may_be_bound_unseen_are_not_judged(line: str) -> None:
    assert faults({"m/helper.py": f"{GOOD['m/helper.py']}\n{line}\ndef g():\n    return a\n"}) == []


def test_a_function_held_where_a_module_should_be_and_an_empty_body_are_notes() -> None:
    change = edited("m/modeling.py", "Part(build(SIZE))", "build")
    change["m/modeling.py"] += "\n    def tail(self):\n        pass\n"
    assert [(k, w) for k, _, _, w in faults(change)] == [("held_function", "note"), ("stub", "note")]


def hostile() -> list[str]:
    return [
        "(" * 100_000, "-" * 100_000 + "1", "x = " + "a." * 50_000 + "b", "1+" * 100_000 + "1", "\0",
        "x = " + "9" * 5_000, "if x:\n" * 5, "\ufeffx = 1", "x = '\udc80'", "x=1\n" * 200_000,
        "a" * (1 << 21),
        "class A(A): pass", "from . import *\nfrom .modeling import *", "f'{" * 100,
    ]  # fmt: skip


@pytest.mark.parametrize("text", hostile(), ids=range(len(hostile())))
def test_hostile_source_is_read_or_refused(text: str) -> None:
    read_model({**GOOD, "m/helper.py": text}, list(GOOD), CONFIG)


def test_classes_that_extend_each_other_in_a_circle() -> None:
    body = "from .modeling import B\nclass A(B):\n    pass\n"
    other = "from .helper import A\nclass B(A):\n    def __init__(self, c):\n        super().__init__(c)\n"
    other += "Own = B\n"
    read_model({**GOOD, "m/helper.py": body, "m/modeling.py": other}, list(GOOD), CONFIG)
