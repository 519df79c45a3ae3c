"""Examiners are found, once each, in the order of the list."""

from __future__ import annotations

import subprocess
import sys

from apograph.evidence import MODULES, all_examiners


def test_every_module_registers_something_and_the_list_is_the_order() -> None:
    ours = [e.run.__module__.rpartition(".")[2] for e in all_examiners()]
    assert list(dict.fromkeys(ours)) == list(MODULES)


def test_the_order_does_not_depend_on_who_was_imported_first() -> None:
    code = (
        "import apograph.evidence.{0}; from apograph.evidence import all_examiners\n"
        "print([e.name for e in all_examiners()])"
    )
    first, last = (
        subprocess.run(
            [sys.executable, "-c", code.format(m)], capture_output=True, text=True, check=True
        ).stdout
        for m in (MODULES[0], MODULES[-1])
    )
    assert first == last
