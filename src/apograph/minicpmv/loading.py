"""From what a user names to an engine that answers: one function for ``run`` and ``serve``."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from apograph.findings import Message, Refusal
from apograph.minicpmv.config import Reading

if TYPE_CHECKING:
    from apograph.minicpmv.checkpoint import Checkpoint
    from apograph.minicpmv.engine import Engine
    from apograph.minicpmv.model import Model
    from apograph.minicpmv.tokens import Tokenizer

DTYPES = ("float32", "bfloat16", "float16")
KINDS = ("int4", "int8", "nf4")


def need(*modules: str, extra: str) -> None:
    """Raises Refusal(4), naming the extra to install, unless all modules are there."""
    for module in modules:
        if find_spec(module) is None:
            raise Refusal(4, Message("minicpmv.refused.extra", {"missing": module, "extra": extra}))


def one_of(option: str, value: str | None, known: tuple[str, ...]) -> None:
    """Raises Refusal(4) unless an option was left out or has a known value."""
    if value is not None and value not in known:
        params = {"option": option, "value": value, "known": ", ".join(known)}
        raise Refusal(4, Message("minicpmv.refused.choice", params))


def open_engine(
    folder: Path,
    like: Path | None = None,
    quantise: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    reading: str = "original",
) -> Engine:
    """Load a release and its tokenizer.

    ``device`` defaults to a GPU where there is one; ``dtype`` to bfloat16 on a CPU, which has matrix units
    for it, and to the published float16 elsewhere. Raises Refusal(4) for an unknown choice or a missing
    extra.
    """
    need("torch", "transformers", "tokenizers", "PIL", extra="vlm")
    one_of("--quantise", quantise, KINDS)
    one_of("--reading", reading, get_args(Reading))
    from apograph.minicpmv.checkpoint import open_checkpoint
    from apograph.minicpmv.engine import Engine

    checkpoint = open_checkpoint(folder, like)
    tokenizer = checkpoint.tokenizer()
    return Engine(open_model(checkpoint, tokenizer, quantise, dtype, device, reading), tokenizer)


def open_model(
    checkpoint: Checkpoint,
    tokenizer: Tokenizer,
    quantise: str | None = None,
    dtype: str | None = None,
    device: str | None = None,
    reading: str = "original",
) -> Model:
    """The model of an opened release, with the defaults of :func:`open_engine`; the same refusals."""
    one_of("--dtype", dtype, DTYPES)
    import torch

    from apograph.minicpmv import quantise as quantised
    from apograph.minicpmv.checkpoint import load

    if device is None:
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.mps.is_available() else "cpu"
    wanted: torch.dtype = getattr(torch, dtype or ("bfloat16" if device == "cpu" else "float16"))
    if checkpoint.quantised:
        model = quantised.load_saved(checkpoint, wanted, device, reading)  # type: ignore[arg-type]
    elif quantise is not None:
        model = quantised.load_quantised(checkpoint, quantise, wanted, device, reading)  # type: ignore[arg-type]
    else:
        model = load(checkpoint, wanted, device, reading)  # type: ignore[arg-type]
    if tokenizer.size > model.config.vocab_size:
        params = {"size": tokenizer.size, "vocabulary": model.config.vocab_size}
        raise Refusal(3, Message("minicpmv.refused.vocabulary", params))
    return model
