"""A small set of releases, trained and derived once for all tests of the lab."""

from __future__ import annotations

from pathlib import Path

import pytest

from apograph.lab.make import make_all
from apograph.lab.plan_derived import derived
from apograph.lab.plan_trained import trained


@pytest.fixture(scope="session")
def small_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of ``apograph lab train --small`` with four seeds, and what is derived from them."""
    folder = tmp_path_factory.mktemp("lab")
    make_all(folder, [*trained(4, small=True), *derived(4, small=True)], lambda done, all_, name: None)
    return folder
