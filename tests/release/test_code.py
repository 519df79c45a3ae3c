"""Sources as units: what is read, what is refused, what remains of a damaged source."""

from __future__ import annotations

import sys
import time

import pytest

from apograph import plain
from apograph.findings import Refusal
from apograph.release.code import MAX_BYTES, Module, module_of, parse, read_module, unpack

SOURCE = '''# Copyright 2031 Example Authors.
# Licensed under the Example License.

"""A module."""
import torch


LIMIT = 3


class Layer(torch.nn.Module):
    """A layer."""

    width = 4

    def forward(self, x):
        def inner(y):
            return y + 1

        return inner(x)


def outer(a, b=2):
    return a * b
'''


def test_units_have_their_names_kinds_and_lines() -> None:
    module = module_of(SOURCE.encode(), "m.py")
    assert [(u.name, u.kind, u.start, u.end) for u in module.units] == [
        ("<module>", "module", 1, len(SOURCE.split("\n"))),
        ("Layer", "class", 11, 20),
        ("outer", "function", 23, 24),
        ("Layer.forward", "method", 16, 20),
        ("Layer.forward.<locals>.inner", "function", 17, 18),
    ]
    assert module.attributes == ("forward", "width")
    assert (module.flags, module.gaps) == ((), ())


def test_the_header_is_the_comment_at_the_top() -> None:
    module = module_of(SOURCE.encode(), "m.py")
    assert module.header == "Copyright 2031 Example Authors.\nLicensed under the Example License."
    assert module.header_lines == 2
    assert module_of(b"#!/usr/bin/env python\nx = 1\n# Copyright below\n", "m.py").header == ""
    docstring = module_of(b'"""Tools.\n\nCopyright 2031 A.\n"""\nx = 1\n', "m.py")
    assert docstring.header == "Tools.\n\nCopyright 2031 A."
    assert docstring.header_lines == 4


def test_plain_values_give_the_module_back() -> None:
    assert plain.load(Module, parse(SOURCE.encode(), "m.py")) == module_of(SOURCE.encode(), "m.py")


def test_the_worker_reads_the_same() -> None:
    assert read_module(SOURCE.encode(), "m.py") == module_of(SOURCE.encode(), "m.py")


def test_packed_operations_unpack() -> None:
    module = module_of(b"def f(a):\n    return a + 1\n", "m.py")
    nodes = unpack(module.units[1])
    assert [module.strings[o] for o in nodes.ops] == ["n:1", "Add", "return", "block", "def"]
    assert nodes.lines == [2, 2, 2, 1, 1]
    name = nodes.operands[1][0]
    assert module.strings[-1 - name[0]] == "v:a"
    assert nodes.operands[1][1] == (0, -1)


HOSTILE = {
    "brackets": b"(" * 100_000,
    "minus": b"x = " + b"-" * 100_000 + b"1\n",
    "not": b"x = " + b"not " * 100_000 + b"1\n",
    "invert": b"x = " + b"~" * 100_000 + b"1\n",
    "lambda": b"x = " + b"lambda:" * 100_000 + b"1\n",
    "ternary": b"x = " + b"1 if 1 else " * 80_000 + b"1\n",
    "attributes": b"x = a" + b".b" * 100_000 + b"\n",
    "sums": b"x = 1" + b"+1" * 200_000 + b"\n",
    "integer": b"x = " + b"9" * 1_000_000 + b"\n",
    "indented": b"".join(b" " * n + b"if x:\n" for n in range(1, 900)),
    "lines": b"x=1\n" * 200_000,
    "nul": b"x = 1\0\n",
    "latin": "# coding: latin-1\nx = 'é'\n".encode("latin-1"),
    "utf-7": b"# -*- coding: utf-7 -*-\nx = '+AGE-'\n\xff",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_sources_are_refused_in_one_way(name: str) -> None:
    limit = sys.getrecursionlimit()
    began = time.process_time()
    refusal: Refusal | None = None
    try:
        module = module_of(HOSTILE[name], "m.py")
    except Refusal as refused:
        refusal = refused
    if refusal is None:
        assert module.flags  # what could be read says what could not
    else:
        assert refusal.code in (2, 5)
        assert refusal.path == "m.py"
    assert time.process_time() - began < 20  # a bound against blow-up, not a speed
    assert sys.getrecursionlimit() == limit


def test_a_deep_unit_is_skipped_and_the_rest_stays() -> None:
    deep = "x = a" + " + a" * 300
    module = module_of(f"def g(a):\n    return a + 1\n\n\ndef f():\n    {deep}\n".encode(), "m.py")
    assert "g" in [u.name for u in module.units]
    assert "f" not in [u.name for u in module.units]
    assert module.flags == ("limited",)
    assert module.gaps == ((5, 6),)


def test_what_is_over_a_limit_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    table = "x = [" + "1, " * 9_000 + "]\n\n\ndef f(a):\n    return a + 1\n"
    module = module_of(table.encode(), "m.py")
    assert [u.name for u in module.units] == ["f"]
    assert (module.flags, module.gaps) == (("limited",), ((1, 4),))
    monkeypatch.setattr("apograph.release.code.MAX_UNITS", 3)
    module = module_of(b"".join(b"def f%d(a):\n    return a\n" % n for n in range(6)), "m.py")
    assert [u.name for u in module.units] == ["<module>", "f0", "f1"]
    assert (module.flags, module.gaps) == (("limited",), ((5, 13),))


def test_a_source_over_the_limit_is_refused_with_5() -> None:
    with pytest.raises(Refusal) as caught:
        module_of(b"#" * (MAX_BYTES + 1), "m.py")
    assert caught.value.code == 5
    with pytest.raises(Refusal) as caught:
        module_of(b"x=1\n" * 200_000, "m.py")
    assert caught.value.code == 5


def test_a_coding_cookie_has_no_effect() -> None:
    module = module_of(b"# -*- coding: utf-7 -*-\nx = '+AGE-'\n", "m.py")
    assert "s:+AGE-" in module.strings


def test_python_2_is_read_as_far_as_it_goes() -> None:
    source = b"def f(a):\n    print 'a', a\n    return a * 3\n\n\ndef g(b):\n    return b - 7\n"
    module = module_of(source, "m.py")
    assert [u.name for u in module.units] == ["<module>", "f", "g"]
    assert module.flags == ("repaired",)
    assert module.gaps == ((2, 2),)
    assert "n:3" in module.strings


def test_an_error_costs_no_more_than_its_statement() -> None:
    source = b"def f(a):\n    x = = 2\n    return a * 3\n\n\ndef g(b):\n    return b - 7\n"
    module = module_of(source, "m.py")
    assert "g" in [u.name for u in module.units]
    assert "n:7" in module.strings
    assert module.flags == ("repaired",)


def test_text_that_is_not_python_is_refused() -> None:
    with pytest.raises(Refusal) as caught:
        module_of(b"<html><body>Not found</body></html>\n", "m.py")
    assert caught.value.code == 2


def test_direction_marks_and_mixed_scripts_are_flagged() -> None:
    assert module_of("x = 'a\u202eb'\n".encode(), "m.py").flags == ("bidi",)
    assert module_of("p\u0430yload = 1\n".encode(), "m.py").flags == ("mixed-script",)
    assert module_of("größe = 'Ж'\n".encode(), "m.py").flags == ()


def test_nothing_is_executed(tmp_path: object) -> None:
    canary = f"{tmp_path}/canary"
    module_of(f"open({canary!r}, 'w')\nraise SystemExit\n".encode(), "m.py")
    from pathlib import Path

    assert not Path(canary).exists()
