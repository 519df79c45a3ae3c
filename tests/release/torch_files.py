"""PyTorch files made opcode by opcode, so that torch is not needed and hostile ones can be made."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

STORAGES = {"f4": "FloatStorage", "f2": "HalfStorage", "f8": "DoubleStorage", "i8": "LongStorage"}


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def number(value: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", value)


def found(name: str) -> bytes:
    """GLOBAL ``module.name``."""
    module, _, last = name.rpartition(".")
    return b"c" + module.encode() + b"\n" + last.encode() + b"\n"


def tuple_of(*items: bytes) -> bytes:
    return b"(" + b"".join(items) + b"t"


def storage(kind: str, key: str, numel: int, *, legacy: bool = False) -> bytes:
    view = (b"N",) if legacy else ()
    return (
        tuple_of(text("storage"), found(f"torch.{kind}"), text(key), text("cpu"), number(numel), *view) + b"Q"
    )


def tensor(storage_: bytes, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]) -> bytes:
    sizes, steps = tuple_of(*map(number, shape)), tuple_of(*map(number, stride))
    hooks = found("collections.OrderedDict") + b")R"
    return (
        found("torch._utils._rebuild_tensor_v2")
        + tuple_of(storage_, number(offset), sizes, steps, b"\x89", hooks)
        + b"R"
    )


def state(items: Mapping[str, bytes]) -> bytes:
    """A pickle of an ordered dict."""
    pairs = b"".join(text(name) + value for name, value in items.items())
    return b"\x80\x02" + found("collections.OrderedDict") + b")R(" + pairs + b"u."


def c_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(np.prod(shape[i + 1 :])) for i in range(len(shape)))


def described(arrays: Mapping[str, np.ndarray], *, legacy: bool = False) -> bytes:
    """The pickle of ``arrays``, each over a storage of its own; Fortran order as strides."""
    items = {}
    for i, (name, array) in enumerate(arrays.items()):
        fortran = array.ndim > 1 and array.flags.f_contiguous and not array.flags.c_contiguous
        stride = c_strides(array.shape[::-1])[::-1] if fortran else c_strides(array.shape)
        kind = STORAGES[array.dtype.str[1:]]
        items[name] = tensor(storage(kind, str(i), array.size, legacy=legacy), 0, array.shape, stride)
    return state(items)


def zipped(members: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return buffer.getvalue()


def contents(array: np.ndarray) -> bytes:
    return array.tobytes("A")


def save_zip(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    members = {"archive/data.pkl": described(arrays), "archive/version": b"3\n"}
    members |= {f"archive/data/{i}": contents(array) for i, array in enumerate(arrays.values())}
    path.write_bytes(zipped(members))


def legacy(pickle: bytes, storages: Mapping[str, tuple[int, bytes]]) -> bytes:
    """``storages``: key to number of elements and content."""
    magic = b"\x80\x02\x8a\x0a" + (0x1950A86A20F9469CFC6C).to_bytes(10, "little") + b"."
    keys = b"\x80\x02](" + b"".join(map(text, storages)) + b"e."
    data = b"".join(struct.pack("<q", n) + content for n, content in storages.values())
    return magic + b"\x80\x02M\xe9\x03." + b"\x80\x02}." + pickle + keys + data


def save_legacy(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    storages = {str(i): (array.size, contents(array)) for i, array in enumerate(arrays.values())}
    path.write_bytes(legacy(described(arrays, legacy=True), storages))
