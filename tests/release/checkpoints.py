"""One checkpoint in every format that is read, with the rounding that each is allowed.

A writer puts ``arrays`` (float32, by name) into a folder and returns what is to be opened. Quantisers (here
and in the lab) are written from the published layouts, independently of the readers.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np

from apograph.lab.derive import quantisers
from apograph.lab.derive.quantisers import grouped, words
from apograph.lab.model import TYPES
from apograph.release.tensor_store import TensorStore, open_store
from tests.release.torch_files import save_legacy, save_zip

Arrays = Mapping[str, np.ndarray]
NAMES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}


@dataclass(frozen=True)
class Format:
    """``error``: the greatest difference allowed, relative to the greatest value of its row."""

    name: str
    open: Callable[[Path, Arrays], TensorStore]
    error: float
    quantised: bool = False


def write_safetensors(path: Path, tensors: Mapping[str, tuple[str, np.ndarray]]) -> Path:
    """``tensors``: name to (dtype in the format's spelling, array of that width)."""
    header, at = {}, 0
    for name, (dtype, array) in tensors.items():
        header[name] = {
            "dtype": dtype,
            "shape": list(array.shape),
            "data_offsets": [at, at + array.nbytes],
        }
        at += array.nbytes
    text = json.dumps(header).encode()
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for _, array in tensors.values():
            file.write(np.ascontiguousarray(array).tobytes())
    return path


def plain(dtype: str, stored: object) -> Callable[[Path, Arrays], TensorStore]:
    def write(folder: Path, arrays: Arrays) -> TensorStore:
        tensors = {name: (dtype, array.astype(stored)) for name, array in arrays.items()}
        return open_store(write_safetensors(folder / "model.safetensors", tensors))

    return write


def sharded(folder: Path, arrays: Arrays) -> TensorStore:
    shards = {name: f"model-{i % 2 + 1:05d}-of-00002.safetensors" for i, name in enumerate(arrays)}
    for shard in set(shards.values()):
        write_safetensors(folder / shard, {n: ("F32", a) for n, a in arrays.items() if shards[n] == shard})
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    return open_store(folder)


def in_gguf(kind: gguf.GGMLQuantizationType) -> Callable[[Path, Arrays], TensorStore]:
    def write(folder: Path, arrays: Arrays) -> TensorStore:
        writer = gguf.GGUFWriter(folder / "m.gguf", "llama")
        for name, array in arrays.items():
            small = array.ndim < 2
            packed = array if small else gguf.quants.quantize(array, kind)
            writer.add_tensor(name, packed, raw_dtype=None if small else kind)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return open_store(folder / "m.gguf")

    return write


def in_torch(save: Callable[[Path, Arrays], None], order: str) -> Callable[[Path, Arrays], TensorStore]:
    def write(folder: Path, arrays: Arrays) -> TensorStore:
        save(folder / "pytorch_model.bin", {n: np.asarray(a, order=order) for n, a in arrays.items()})
        return open_store(folder)

    return write


def quantised(
    build: Callable[[str, np.ndarray], Mapping[str, tuple[str, np.ndarray]]],
) -> Callable[[Path, Arrays], TensorStore]:
    """Matrices through ``build``, the rest as F32."""

    def write(folder: Path, arrays: Arrays) -> TensorStore:
        tensors: dict[str, tuple[str, np.ndarray]] = {}
        for name, array in arrays.items():
            stem = name.removesuffix(".weight")
            tensors |= build(stem, array) if array.ndim == 2 else {name: ("F32", array)}
        return open_store(write_safetensors(folder / "model.safetensors", tensors))

    return write


def nf4(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    book = np.linspace(-1, 1, 16, dtype=np.float32)
    blocks = array.reshape(-1, 32)
    absmax = np.abs(blocks).max(axis=1)
    codes = np.abs(blocks[:, :, None] / absmax[:, None, None] - book).argmin(axis=2).reshape(-1)
    packed = (codes[::2] << 4 | codes[1::2]).astype(np.uint8).reshape(-1, 1)
    # Scales quantised again, with an offset: the book of 256 holds them within half a step.
    offset = float(absmax.mean())
    outer = np.repeat(np.abs(absmax - offset).max() or 1.0, -(-len(absmax) // 256)).astype(np.float32)
    inner = np.linspace(-1, 1, 256, dtype=np.float32)
    nested = np.abs((absmax - offset)[:, None] / outer[0] - inner).argmin(axis=1).astype(np.uint8)
    described = {"quant_type": "nf4", "blocksize": 32, "shape": list(array.shape), "dtype": "float32"}
    described |= {"nested_blocksize": 256, "nested_dtype": "float32", "nested_offset": offset}
    state = np.frombuffer(json.dumps(described).encode(), np.uint8)
    return {
        f"{stem}.weight": ("U8", packed),
        f"{stem}.weight.absmax": ("U8", nested),
        f"{stem}.weight.quant_map": ("F32", book),
        f"{stem}.weight.nested_absmax": ("F32", outer),
        f"{stem}.weight.nested_quant_map": ("F32", inner),
        f"{stem}.weight.quant_state.bitsandbytes__nf4": ("U8", state),
    }


def typed(parts: Mapping[str, np.ndarray]) -> dict[str, tuple[str, np.ndarray]]:
    """The parts of a quantised matrix with their types in the format's spelling."""
    return {name: (TYPES[array.dtype.name], array) for name, array in parts.items()}


def int8(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    return typed(quantisers.int8(stem, array))


def gptq(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    codes, scales, zeros = grouped(array, 32)
    order = list(range(8))
    shuffled = np.random.default_rng(5).permutation(array.shape[1])
    groups = (np.arange(array.shape[1]) // 32)[shuffled]
    return {
        f"{stem}.qweight": ("I32", words(codes[:, shuffled], order).T),
        f"{stem}.qzeros": ("I32", words((zeros.T - 1) & 15, order)),
        f"{stem}.scales": ("F16", scales.T.astype(np.float16)),
        f"{stem}.g_idx": ("I32", groups.astype(np.int32)),
    }


def unshuffled(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    """GPTQ without g_idx."""
    return typed(quantisers.int4(stem, array))


def awq(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    codes, scales, zeros = grouped(array, 32)
    order = [0, 2, 4, 6, 1, 3, 5, 7]
    return {
        f"{stem}.qweight": ("I32", words(np.ascontiguousarray(codes.T), order)),
        f"{stem}.qzeros": ("I32", words(np.ascontiguousarray(zeros.T), order)),
        f"{stem}.scales": ("F16", scales.T.astype(np.float16)),
    }


def compressed(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    codes, scales, zeros = grouped(array, 32)
    order = list(range(8))
    return {
        f"{stem}.weight_packed": ("I32", words(codes, order)),
        f"{stem}.weight_scale": ("F32", scales),
        f"{stem}.weight_zero_point": (
            "I32",
            np.ascontiguousarray(words(np.ascontiguousarray(zeros.T), order).T),
        ),
        f"{stem}.weight_shape": ("I64", np.array(array.shape, np.int64)),
    }


def float8_blocks(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    rows, columns = array.shape
    scales = np.empty((-(-rows // 128), -(-columns // 128)), np.float32)
    codes = np.empty(array.shape, ml_dtypes.float8_e4m3fn)
    for r in range(scales.shape[0]):
        for c in range(scales.shape[1]):
            part = np.s_[128 * r : 128 * r + 128, 128 * c : 128 * c + 128]
            scales[r, c] = np.abs(array[part]).max() / 448
            codes[part] = array[part] / scales[r, c]
    return {f"{stem}.weight": ("F8_E4M3", codes), f"{stem}.weight_scale_inv": ("F32", scales)}


def lora(folder: Path, arrays: Arrays) -> TensorStore:
    """A base that lacks a product of rank two, and the adapter that adds it."""
    rng = np.random.default_rng(11)
    base, adapter = {}, {}
    for name, array in arrays.items():
        if array.ndim == 2:
            left = rng.standard_normal((array.shape[0], 2)).astype(np.float32)
            right = rng.standard_normal((2, array.shape[1])).astype(np.float32)
            adapter[f"base_model.model.{name.removesuffix('.weight')}.lora_A.weight"] = ("F32", right)
            adapter[f"base_model.model.{name.removesuffix('.weight')}.lora_B.weight"] = ("F32", left)
            base[name] = ("F32", (array - 4.0 * left.astype(float) @ right).astype(np.float32))
        else:
            base[name] = ("F32", np.zeros_like(array))
            adapter[f"base_model.model.{name}"] = ("F32", array)
    folder = folder / "adapter"
    folder.mkdir()
    write_safetensors(folder / "adapter_model.safetensors", adapter)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": 2, "lora_alpha": 8}))
    return open_store(folder, open_store(write_safetensors(folder.parent / "base.safetensors", base)))


KINDS = gguf.GGMLQuantizationType
FORMATS = (
    Format("F64", plain("F64", np.float64), 0),
    Format("F32", plain("F32", np.float32), 0),
    Format("F16", plain("F16", np.float16), 2**-11),
    Format("BF16", plain("BF16", ml_dtypes.bfloat16), 2**-8),
    Format("F8_E4M3", plain("F8_E4M3", ml_dtypes.float8_e4m3fn), 2**-4),
    Format("F8_E5M2", plain("F8_E5M2", ml_dtypes.float8_e5m2), 2**-3),
    Format("sharded", sharded, 0),
    Format("GGUF F16", in_gguf(KINDS.F16), 2**-11),
    Format("GGUF BF16", in_gguf(KINDS.BF16), 2**-8),
    Format("GGUF Q8_0", in_gguf(KINDS.Q8_0), 1 / 200),
    Format("GGUF Q5_1", in_gguf(KINDS.Q5_1), 1 / 25),
    Format("GGUF Q4_0", in_gguf(KINDS.Q4_0), 1 / 6),
    Format("torch zip", in_torch(save_zip, "C"), 0),
    Format("torch zip, transposed", in_torch(save_zip, "F"), 0),
    Format("torch legacy", in_torch(save_legacy, "C"), 0),
    Format("torch legacy, transposed", in_torch(save_legacy, "F"), 0),
    Format("NF4", quantised(nf4), 1 / 12, True),
    Format("INT8", quantised(int8), 1 / 250, True),
    Format("GPTQ without groups", quantised(unshuffled), 1 / 12, True),
    Format("AWQ", quantised(awq), 1 / 12, True),
    Format("compressed-tensors", quantised(compressed), 1 / 12, True),
    Format("float8 in blocks", quantised(float8_blocks), 2**-3, True),
    Format("LoRA", lora, 1e-5, True),
)
