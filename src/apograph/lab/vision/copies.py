"""Copies of a release: under Llama3-V's names, with noise, quantised; and asking many pictures at once."""

from __future__ import annotations

import contextlib
import io
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from apograph.lab.vision.train import Sample

if TYPE_CHECKING:
    from apograph.minicpmv.model import Model
    from apograph.minicpmv.quantise import Kind
    from apograph.minicpmv.tokens import Tokenizer


def open_model(folder: Path) -> tuple[Model, Tokenizer]:
    """A release of ours, or a copy under any known names, quantised or not; computed in float32."""
    import torch

    from apograph.minicpmv.checkpoint import load, open_checkpoint
    from apograph.minicpmv.quantise import load_saved

    checkpoint = open_checkpoint(folder)
    read = load_saved if checkpoint.quantised else load
    return read(checkpoint, torch.float32), checkpoint.tokenizer()


def respelled(folder: Path, out: Path) -> Path:
    """A copy under Llama3-V's names: ``vpm`` becomes ``vison``, ``resampler`` becomes ``projection``."""
    from apograph.minicpmv.checkpoint import open_checkpoint
    from apograph.minicpmv.names import LLAMA3V, renamed
    from apograph.minicpmv.store import tensor_source, write

    theirs = {ours: spelt for spelt, ours in LLAMA3V.items()}
    reader = open_checkpoint(folder).reader
    out.mkdir(parents=True)
    sources = [tensor_source(renamed(name, theirs), reader.whole(name)) for name in reader.entries]
    write(out / "model.safetensors", sources)
    _beside(folder, out)
    return out


def quantised(folder: Path, kind: Kind, out: Path) -> Path:
    """A copy with its weights rounded, as ``apograph run --quantise`` does."""
    import torch

    from apograph.minicpmv.checkpoint import open_checkpoint
    from apograph.minicpmv.quantise import load_quantised, save

    save(load_quantised(open_checkpoint(folder), kind, torch.float32), out, folder / "tokenizer.json")
    return out


def noised(folder: Path, noise: str, seed: int, out: Path) -> Path:
    """What ``apograph perturb --noise`` writes."""
    from apograph.cli.perturb import perturb

    with contextlib.redirect_stdout(io.StringIO()):
        perturb(str(folder), str(out), noise, seed, "per-tensor", True)
    return out


def renamed_like(folder: Path, reference: Path, out: Path) -> Path:
    """What ``apograph rename --like`` writes."""
    from apograph.cli.rename import rename

    with contextlib.redirect_stdout(io.StringIO()):
        rename(str(folder), str(reference), str(out), True)
    return out


def _beside(folder: Path, out: Path) -> None:
    for name in ("config.json", "tokenizer.json"):
        shutil.copyfile(folder / name, out / name)


def answer_ids(
    model: Model, tokenizer: Tokenizer, samples: Sequence[Sample], at_once: int = 50
) -> list[list[int]]:
    """The ids of the greedy answers, end of turn included."""
    import torch

    from apograph.minicpmv.generate import Decoding, generate
    from apograph.minicpmv.image import prepare
    from apograph.minicpmv.prompt import Message, build

    found: list[list[int]] = []
    with torch.inference_mode():
        for start in range(0, len(samples), at_once):
            embeds = []
            for sample in samples[start : start + at_once]:
                parts = (prepare(sample.image, model.config), sample.question)
                embeds.append(model.embed(build([Message("user", parts)], tokenizer, model.config)))
            found += generate(model, embeds, Decoding(max_new_tokens=40), tokenizer.special.stops)
    return found


def answers(model: Model, tokenizer: Tokenizer, samples: Sequence[Sample]) -> list[str]:
    """The greedy answers as text."""
    return [tokenizer.decode(ids) for ids in answer_ids(model, tokenizer, samples)]
