import io
import pickle
import struct
import sys
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apograph.findings import Refusal
from apograph.release.pickle_walk import walk
from tests.release.refusals import refused
from tests.release.torch_files import found, storage, text, tuple_of

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner) | st.tuples(inner, inner),
    max_leaves=20,
)


@given(plain, st.integers(0, 5))
def test_plain_values_come_back(value, protocol):
    walked = walk(io.BytesIO(pickle.dumps(value, protocol)))
    # Protocols below 3 have no bytes: there a call of an encoder stands for them, which is foreign here.
    if not walked.foreign:
        assert (walked.value, walked.complete) == (value, True)
    else:
        assert protocol < 3
        assert {f.name for f in walked.foreign} <= {"_codecs.encode", "__builtin__.bytes"}


def call(name: str, *arguments: bytes) -> bytes:
    return b"\x80\x02" + found(name) + tuple_of(*arguments) + b"R."


GADGETS = (
    "os.system", "builtins.exec", "uuid._get_command_stdout", "timeit.timeit", "pip.main", "pydoc.locate",
    "numpy.testing._private.utils.runstring", "torch.utils.bottleneck.__main__.run_cprofile",
    "logging.FileHandler", "linecache.getline", "torch.load", "torch.storage._load_from_bytes",
    "collections.namedtuple", "torch._utils._rebuild_device_tensor_from_numpy",
)  # fmt: skip


@pytest.mark.parametrize("name", GADGETS)
def test_every_other_global_is_foreign(name):
    assert [f.name for f in walk(io.BytesIO(call(name, text("touch canary")))).foreign] == [name]


@pytest.mark.parametrize(
    ("data", "names"),
    [
        (b"\x80\x04\x8c\x02os\x94\x8c\x06system\x94h\x00h\x01\x93\x8c\x01x\x85R.", ["os.system"]),
        (b"(S'x'\nios\nsystem\n.", ["os.system"]),
        (b"\x80\x02\x82\x01.", ["EXT1"]),
        (b"Pstrange\n.", ["PERSID"]),
        (b"\x80\x02X\x01\0\0\0aQ.", ["BINPERSID"]),
        (b"\x80\x02" + tuple_of(text("storage"), found("os.system"), text("0"), text("cpu"), b"K\1") + b"Q.",
         ["os.system", "BINPERSID"]),
        (call("os.system", text("x"))[:-1] + b"\xff\xff", ["os.system"]),
        (call("os.system", text("x"))[:-1], ["os.system"]),
    ],
)  # fmt: skip
def test_findings_of_other_forms_and_of_broken_pickles(data, names):
    assert [f.name for f in walk(io.BytesIO(data)).foreign] == names


def test_nothing_is_imported():
    sys.modules.pop("antigravity", None)
    walk(io.BytesIO(call("antigravity.fly")))
    assert "antigravity" not in sys.modules


LAUGHS = b"\x80\x02]q\0" + b"".join(
    b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(60)
)


def test_shared_containers_cost_nothing():
    assert walk(io.BytesIO(LAUGHS + b".")).complete


@pytest.mark.parametrize(
    "data",
    [
        b"\x80\x02" + b"]" * 1_000_000 + b"a" * 999_999 + b".",
        b"\x80\x02" + b"N0" * 600_000 + b"N.",
        b"\x80\x04N" + b"\x94" * 200_000 + b".",
    ],
    ids=["stack", "opcodes", "memo"],
)
def test_limits(data):
    refusal = refused(lambda: walk(io.BytesIO(data)))
    assert (refusal.code, refusal.message.key) == (5, "readers.pickle.limit")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x80\x02",
        b"\x80\x02\x8b\xff\xff\xff\x7f.",
        b"\x80\x04\x8d" + struct.pack("<Q", 1 << 60) + b".",
        b"\x80\x02j\xff\xff\xff\xff.",
        b"\x80\x020.",
        b"\x80\x02t.",
        b"\x80\x02NNu.",
        b"I" + b"9" * 5000 + b"\n.",
        b"\x80\x02(K\x01u.",
    ],
)
def test_broken_ones_are_incomplete(data):
    walked = walk(io.BytesIO(data))
    assert (walked.complete, walked.foreign) == (False, [])


@pytest.mark.parametrize(
    "pid",
    [
        storage("FloatStorage", "0", -1),
        storage("Missing", "0", 1),
        tuple_of(text("module"), found("torch.FloatStorage"), text("0"), text("cpu"), b"K\x01") + b"Q",
        tuple_of(text("storage"), found("torch.FloatStorage"), b"K\0", text("cpu"), b"K\x01") + b"Q",
    ],
)
def test_references_that_are_no_storage_are_foreign(pid):
    assert walk(io.BytesIO(b"\x80\x02" + pid + b".")).foreign[-1].name == "BINPERSID"


@given(st.binary(max_size=200))
def test_noise(data):
    with suppress(Refusal):
        walk(io.BytesIO(b"\x80\x02" + data))
