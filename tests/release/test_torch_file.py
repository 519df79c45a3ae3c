import io

import numpy as np
import pytest

from apograph.release.tensor_store import open_store
from apograph.release.torch_file import read_torch
from apograph.report.words import text as worded
from tests.release.refusals import refused
from tests.release.torch_files import (
    described,
    found,
    legacy,
    number,
    state,
    storage,
    tensor,
    text,
    tuple_of,
    zipped,
)

FOUR = np.arange(4, dtype=np.float32)


def read(data: bytes):
    return read_torch(io.BytesIO(data), len(data), "m.bin")


def one(body: bytes, content: bytes = FOUR.tobytes(), **members: bytes) -> bytes:
    return zipped({"m/data.pkl": body, "m/data/0": content, **{f"m/{k}": v for k, v in members.items()}})


def laid(offset: int, shape: tuple[int, ...], stride: tuple[int, ...], numel: int = 4) -> bytes:
    return state({"w": tensor(storage("FloatStorage", "0", numel), offset, shape, stride)})


def keys(data: bytes) -> list[str]:
    gaps = read(data).unexamined
    assert all(worded(gap.reason) and gap.fault for gap in gaps)
    return [gap.reason.key.removeprefix("readers.torch.") for gap in gaps]


def test_nested_names_views_and_parameters():
    ref = storage("FloatStorage", "0", 4)
    view = tensor(ref, 1, (2,), (1,))
    inner = (
        found("torch._utils._rebuild_parameter")
        + tuple_of(tensor(ref, 0, (2, 2), (1, 2)), b"\x88", b"N")
        + b"R"
    )
    body = (
        b"\x80\x02}("
        + text("state_dict")
        + b"}("
        + text("v")
        + view
        + text("p")
        + inner
        + b"u"
        + text("n")
        + b"K\x01u."
    )
    data = one(body)
    result = read(data)
    start = data.index(FOUR.tobytes())
    assert [(e.name, e.shape, e.dtype, e.start, e.stop) for e in result.entries] == [
        ("state_dict.v", (2,), "F32", start + 4, start + 12),
        ("state_dict.p", (2, 2), "F32", start, start + 16),
    ]
    assert (result.strides, result.foreign, result.unexamined) == ({"state_dict.p": (1, 2)}, (), ())


@pytest.mark.parametrize(
    ("offset", "shape", "stride", "numel", "fits"),
    [
        (0, (4,), (1,), 4, True),
        (1, (4,), (1,), 4, False),
        (4, (), (), 4, False),
        (3, (), (), 4, True),
        (0, (2, 2), (3, 1), 4, False),
        (0, (2,), (4,), 4, False),
        (0, (10**9, 10**9), (0, 0), 4, True),
        (0, (1 << 62, 4), (0, 0), 4, False),
        (0, (8,), (1,), 8, False),
        (9, (0, 5), (5, 1), 4, False),
        (0, (0, 1 << 62), (1, 1), 4, True),
    ],
)
def test_bounds_of_storage_offset_and_stride(offset, shape, stride, numel, fits):
    result = read(one(laid(offset, shape, stride, numel)))
    assert (len(result.entries) == 1) == fits
    assert (len(result.unexamined) == 1) != fits


def test_negative_strides_give_no_tensor():
    assert read(one(laid(3, (4,), (-1,)))).entries == ()


def test_many_views_of_one_storage_count_once():
    ref = storage("FloatStorage", "0", 4) + b"q\x01"
    body = state(
        {"0": tensor(ref, 0, (4,), (1,))} | {str(i): tensor(b"h\x01", 0, (4,), (1,)) for i in range(1, 2000)}
    )
    result = read(one(body))
    assert len(result.entries) == 2000
    assert len({(e.start, e.stop) for e in result.entries}) == 1


def foreign(before: bytes, after: bytes) -> bytes:
    call = found("os.system") + tuple_of(text("touch canary")) + b"R"
    return state({"before": before, "call": call, "after": after})


def test_a_foreign_global_ends_the_examination(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    laid_over = tensor(storage("FloatStorage", "0", 4), 0, (4,), (1,))
    data = one(foreign(laid_over, laid_over))
    (tmp_path / "m.bin").write_bytes(data)
    store = open_store("m.bin")
    assert [f.name for f in read(data).foreign] == ["os.system"]
    assert list(store.infos) == ["before"]
    assert [u.reason.key for u in store.unexamined] == ["readers.torch.foreign"]
    assert [p.name for p in tmp_path.iterdir()] == ["m.bin"]


def test_a_second_pickle_behind_the_first():
    result = read(one(laid(0, (4,), (1,)) + b"\x80\x02" + found("os.system") + b"."))
    assert [f.name for f in result.foreign] == ["os.system"]
    assert result.unexamined[0].reason.key == "readers.torch.after-stop"


def test_a_pickle_under_another_name_is_walked():
    data = zipped({"m/data.config": b"\x80\x02" + found("os.system") + b"." + b"\0" * 20, "m/data/0": b""})
    result = read(data)
    assert [f.name for f in result.foreign] == ["os.system"]
    assert {u.reason.key for u in result.unexamined} >= {"readers.torch.foreign", "readers.torch.form"}


def test_exec_first_then_broken():
    result = read(one(b"\x80\x02" + found("os.system") + tuple_of(text("x")) + b"R\xff\xff"))
    assert [f.name for f in result.foreign] == ["os.system"]
    assert {u.reason.key for u in result.unexamined} >= {"readers.torch.truncated"}


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (one(laid(0, (4,), (1,)), b"\0" * 12), ["bounds"]),
        (zipped({"m/data.pkl": laid(0, (4,), (1,))}), ["storage"]),
        (one(b"\x80\x02N."), []),
        (one(laid(0, (4,), (1,))[:-9]), ["truncated"]),
        (zipped({"m/x": b""}), ["form"]),
        (zipped({"m/data.pkl": b"\x80\x02N.", "n/data.pkl": b"\x80\x02N."}), ["form"]),
    ],
)
def test_faults(data, expected):
    assert keys(data) == expected


def test_a_wrong_checksum_is_a_fault():
    data = one(laid(0, (4,), (1,)))
    body = data.index(b"FloatStorage")
    assert keys(data.replace(b"cpu", b"gpu", 1)) == ["checksum"]
    assert body


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", 2),
        (b"GGUF" + b"\0" * 30, 2),
        (one(laid(0, (4,), (1,)), byteorder=b"big"), 2),
        (one(b"\x80\x02" + b"]" * 20_000 + b"."), 5),
    ],
)
def test_refuses(data, code):
    assert refused(lambda: read(data)).code == code


def test_shared_containers_are_not_expanded():
    doubling = b"".join(b"](h" + bytes([i]) + b"h" + bytes([i]) + b"eq" + bytes([i + 1]) for i in range(40))
    data = one(b"\x80\x02]q\0" + doubling + b".")
    refusal = refused(lambda: read(data))
    assert (refusal.code, refusal.message.key) == (5, "readers.torch.nested")


@pytest.mark.parametrize(
    "data",
    [
        legacy(described({"w": FOUR}, legacy=True), {"0": (5, FOUR.tobytes())}),
        legacy(described({"w": FOUR}, legacy=True), {"0": (4, FOUR.tobytes()[:-1])}),
        legacy(described({"w": FOUR}, legacy=True), {"1": (4, FOUR.tobytes())}),
        legacy(described({"w": FOUR}, legacy=True), {}),
    ],
)
def test_legacy_storages_must_fit(data):
    result = read(data)
    assert result.entries == ()
    assert {u.reason.key for u in result.unexamined} == {"readers.torch.storage"}


def test_a_legacy_file_of_another_magic():
    assert keys(b"\x80\x02" + number(7) + b"." + b"\0" * 20) == ["form"]


def test_agrees_with_torch(tmp_path):
    torch = pytest.importorskip("torch", reason="torch is an extra; the layouts are also made by hand")
    rng = torch.Generator().manual_seed(1)
    tensors = {
        "plain": torch.randn(5, 7, generator=rng),
        "transposed": torch.randn(6, 4, generator=rng).t(),
        "strided": torch.arange(24).reshape(2, 3, 4)[:, 1:, ::2],
        "expanded": torch.randn(3, 1, generator=rng).expand(3, 4),
        "bf16": torch.randn(9, generator=rng).bfloat16(),
        "f8": torch.randn(4, 4, generator=rng).to(torch.float8_e4m3fn),
        "scalar": torch.tensor(3.5, dtype=torch.float64),
        "empty": torch.zeros(0, 4),
        "parameter": torch.nn.Parameter(torch.randn(3, generator=rng)),
        "flags": torch.tensor([True, False]),
        "u16": torch.tensor([1, 65535], dtype=torch.uint16),
    }
    tensors["view"] = tensors["plain"][2:4]
    for zipped_form in (True, False):
        torch.save(
            {"model": tensors, "epoch": 3}, tmp_path / "x.pt", _use_new_zipfile_serialization=zipped_form
        )
        store = open_store(tmp_path / "x.pt")
        assert store.unexamined == ()
        for name, value in tensors.items():
            wanted = value.detach().to(torch.float64).numpy().reshape(-1)
            assert np.array_equal(store.block(f"model.{name}", 0, value.numel()), wanted), name
