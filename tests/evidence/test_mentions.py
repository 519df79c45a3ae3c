"""Names of one party in the other's files, deleted ones and bytecode included."""

from __future__ import annotations

import py_compile
from pathlib import Path

from apograph.align.names_of import names_of, squeeze
from apograph.evidence.dates import day
from apograph.evidence.mentions import bytecode, mentions_of_the_other
from apograph.evidence.registry import Case
from apograph.findings import Bearing, Finding, Unexamined
from apograph.release.types import Card
from tests.evidence.fakes import FakeRelease, Step

DAY = 86400
CONFIG = {
    "_name_or_path": "ink/Slip-Reader",
    "model_type": "slipreader",
    "architectures": ["SlipReaderModel"],
    "auto_map": {"AutoModel": "modeling_slipreader.SlipReaderModel"},
}
REFERENCE = FakeRelease({"config.json": CONFIG, "modeling_slipreader.py": "def unroll_bundle(): pass\n"})


def found(case: Case) -> dict[str, Finding]:
    return {f.id: f for f in mentions_of_the_other(case) if isinstance(f, Finding)}


def test_the_names_of_a_release() -> None:
    names = {(n.text, n.kind) for n in names_of(REFERENCE)}
    assert names == {
        ("ink/Slip-Reader", "id"),
        ("slipreader", "model type"),
        ("SlipReaderModel", "class"),
        ("modeling_slipreader", "module"),
    }, "the owner 'ink' is too short to be searched for"


def test_a_plain_model_type_is_everybody_s() -> None:
    assert (
        names_of(FakeRelease({"config.json": {"model_type": "mixtral", "architectures": ["Mixtral"]}})) == ()
    )


def test_ids_in_the_card_and_their_owners() -> None:
    text = "Use `AutoModel.from_pretrained('inkstone/Slip-V', trust_remote_code=True)`."
    names = names_of(FakeRelease({"README.md": text}, card=Card("README.md", {}, text)))
    assert {(n.text, n.kind) for n in names} == {("inkstone/Slip-V", "id"), ("inkstone", "owner")}


def test_squeezing() -> None:
    assert squeeze("MiniCPM-V_2.5") == "minicpmv25"


def test_a_deleted_test_that_loads_the_reference() -> None:
    candidate = FakeRelease(
        steps=[
            Step(DAY, {"test_it.py": "x = 1\nload('ink/Slip-Reader')\n"}),
            Step(2 * DAY, {"test_it.py": None, "main.py": "pass"}),
        ]
    )
    finding = found(Case(REFERENCE, candidate))["history.mentions:candidate"]
    assert finding.bearing is Bearing.SUPPORTING
    assert finding.message.params["removed"] > 0
    row = next(r for r in finding.exhibits[0].data["rows"] if r[0] == "ink/Slip-Reader")
    assert row == [
        "ink/Slip-Reader",
        "test_it.py",
        2,
        "load('ink/Slip-Reader')",
        1,
        "1970-01-02",
        "1970-01-03",
    ]
    assert {location.start for location in finding.locations} == {2}


def test_a_mention_in_prose_is_context() -> None:
    candidate = FakeRelease(steps=[Step(DAY, {"README.md": "Better than Slip-Reader by 3 points."})])
    assert found(Case(REFERENCE, candidate))["history.mentions:candidate"].bearing is Bearing.CONTEXT


def test_a_name_that_the_base_writes_too_is_context() -> None:
    candidate = FakeRelease(steps=[Step(DAY, {"a.py": "import modeling_slipreader"})])
    base = FakeRelease({"b.py": "# modeling_slipreader, class SlipReaderModel"})
    case = Case(REFERENCE, candidate, bases=(base,))
    assert found(case)["history.mentions:candidate"].bearing is Bearing.CONTEXT
    assert found(Case(REFERENCE, candidate))["history.mentions:candidate"].bearing is Bearing.SUPPORTING


def test_swapping_the_sides_mirrors() -> None:
    candidate = FakeRelease(steps=[Step(DAY, {"a.py": "import modeling_slipreader"})])
    here, there = found(Case(REFERENCE, candidate)), found(Case(candidate, REFERENCE))
    assert set(here) == {"history.mentions:candidate"}
    assert set(there) == {"history.mentions:reference"}
    assert here["history.mentions:candidate"].measures == there["history.mentions:reference"].measures


def test_a_name_inside_the_writer_s_own_name_is_none_of_the_other_s() -> None:
    own = {"model_type": "bigslipreader", "auto_map": {"AutoModel": "modeling_bigslipreader.Big"}}
    candidate = FakeRelease(
        steps=[Step(DAY, {"config.json": own, "a.py": "# Big-Slip-Reader, bigslipreader"})]
    )
    assert found(Case(REFERENCE, candidate)) == {}


def test_a_name_is_a_word_of_its_own() -> None:
    candidate = FakeRelease(steps=[Step(DAY, {"a.py": "# Other-Slip-Reader and slipreaders"})])
    assert found(Case(REFERENCE, candidate)) == {}
    candidate = FakeRelease(steps=[Step(DAY, {"a.py": "# the Slip-Reader, v2"})])
    assert set(found(Case(REFERENCE, candidate))) == {"history.mentions:candidate"}


def test_states_that_say_the_same_are_one_row() -> None:
    line = "import modeling_slipreader\n"
    candidate = FakeRelease(steps=[Step(n * DAY, {"a.py": line + "#" * n}) for n in (1, 2, 3)])
    (row,) = found(Case(REFERENCE, candidate))["history.mentions:candidate"].exhibits[0].data["rows"]
    assert row == ["modeling_slipreader", "a.py", 1, "import modeling_slipreader", 3, "1970-01-02", ""]


def test_a_release_does_not_mention_itself() -> None:
    assert found(Case(REFERENCE, REFERENCE)) == {}


def compiled(folder: Path, names: list[str]) -> bytes:
    source = folder / "old.py"
    source.write_text("\n".join(f"def {name}(picture): return picture" for name in names))
    target = str(folder / "old.pyc")
    return Path(py_compile.compile(str(source), cfile=target, doraise=True)).read_bytes()


NAMES = ["unroll_bundle", "count_strokes", "seal_margin", "ink_density", "fold_lines", "read_columns"]
THEIRS = "\n".join(f"def {name}(image): pass" for name in NAMES[:5])


def test_names_in_bytecode(tmp_path: Path) -> None:
    reference, base = FakeRelease({"m.py": THEIRS}), FakeRelease({"b.py": "def seal_margin(): pass"})
    candidate = FakeRelease({"__pycache__/old.cpython-311.pyc": compiled(tmp_path, NAMES), "x.py": ""})
    (finding,) = bytecode(Case(reference, candidate))
    assert isinstance(finding, Finding)
    assert finding.bearing is Bearing.SUPPORTING
    assert finding.exhibits[0].data["items"] == sorted(NAMES[:5])
    ((*_, source, when, size),) = finding.exhibits[1].data["rows"]
    written = (tmp_path / "old.py").stat()
    assert (source, when, size) == (str(tmp_path / "old.py"), day(int(written.st_mtime)), written.st_size)
    (with_base,) = bytecode(Case(reference, candidate, bases=(base,)))
    assert isinstance(with_base, Finding)
    assert with_base.bearing is Bearing.CONTEXT
    assert "seal_margin" not in with_base.exhibits[0].data["items"]
    (mirrored,) = bytecode(Case(candidate, reference))
    assert isinstance(mirrored, Finding)
    assert (mirrored.id, mirrored.measures) == ("history.bytecode:reference", finding.measures)


def test_names_that_the_published_code_has_too_are_no_left_overs(tmp_path: Path) -> None:
    pyc = {"__pycache__/old.cpython-311.pyc": compiled(tmp_path, NAMES), "new.py": THEIRS}
    (finding,) = bytecode(Case(FakeRelease({"m.py": THEIRS}), FakeRelease(pyc)))
    assert isinstance(finding, Finding)
    assert finding.exhibits[0].data["items"] == sorted(NAMES[:5])
    assert finding.message.params["gone"] == 0
    assert finding.bearing is Bearing.CONTEXT


def test_broken_bytecode_is_named(tmp_path: Path) -> None:
    broken = {"a.pyc": compiled(tmp_path, NAMES)[:60], "x.py": ""}
    (gap,) = bytecode(Case(FakeRelease({"m.py": THEIRS}), FakeRelease(broken)))
    assert isinstance(gap, Unexamined)
    assert (gap.side, gap.path, gap.fault) == ("candidate", "a.pyc", True)
