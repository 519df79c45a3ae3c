"""A release becomes a running model: its names mapped to ours, its weights streamed in, its code never
touched.

The configuration, the tensor headers and the index are read by ``release`` (strictly, in a confined process);
the model is built without memory and filled tensor by tensor, so that the peak is the model plus one piece.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from apograph.findings import Message, Refusal
from apograph.minicpmv import names
from apograph.minicpmv.config import Config, Reading
from apograph.minicpmv.model import Model
from apograph.minicpmv.store import Reader, release_memory
from apograph.minicpmv.tokens import Tokenizer

TOKENIZER = "tokenizer.json"
Replace = Callable[[Model, str, Reader, str], bool]
"""(model, our name, reader, its name): fills the place by itself, or returns False to leave it to the
loader."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A release that can be loaded. ``spelling`` maps our tensor names to the release's."""

    folder: Path
    config: Config
    reader: Reader
    spelling: Mapping[str, str]

    @property
    def quantised(self) -> bool:
        """Whether some weights are stored in parts, as ``quantise.save`` and bitsandbytes do."""
        return any(names.whole(name) != name for name in self.reader.entries)

    def tokenizer(self) -> Tokenizer:
        """The release's own tokenizer. Raises Refusal(3) when it has none, and as ``Tokenizer.from_file``."""
        path = self.folder / TOKENIZER
        if not path.is_file():
            raise Refusal(3, Message("minicpmv.refused.no_tokenizer"), str(path))
        return Tokenizer.from_file(path)


def open_checkpoint(folder: Path, like: Path | None = None) -> Checkpoint:
    """Open a folder in the Hugging Face layout (config.json, safetensors in one file or in shards).

    Names are MiniCPM's, Llama3-V's, or whatever ``compare`` maps to those of the release ``like``, whose
    configuration and index are all that is read of it. Raises Refusal(3) when something is missing.
    """
    from apograph.release import open_release

    release = open_release(str(folder))
    tensors = release.tensors
    if tensors is None or any(entry.shape is None for entry in tensors.entries):
        raise Refusal(3, Message("minicpmv.refused.no_weights"), str(folder))
    found = {entry.name: entry for entry in tensors.entries}
    if like is None:
        renaming: Mapping[str, str] = names.guess(found)
        ours = {names.whole(names.renamed(name, renaming)): names.whole(name) for name in found}
    else:
        from apograph.align.names import renaming as align

        reference = open_release(str(like)).tensors
        if reference is None:
            raise Refusal(3, Message("minicpmv.refused.no_weights"), str(like))
        known = names.guess(entry.name for entry in reference.entries)
        pairs = align(reference, tensors).pairs
        ours = {names.renamed(theirs, known): mine for theirs, mine in pairs}
    return Checkpoint(folder, Config.from_json(release.config), Reader(folder, found), ours)


def load(
    checkpoint: Checkpoint,
    dtype: torch.dtype,
    device: str = "cpu",
    reading: Reading = "original",
    replace: Replace | None = None,
) -> Model:
    """Build the model and stream the weights in, converted to ``dtype``. ``replace`` may fill some places in
    another form (``quantise``). Raises Refusal(3) when names or shapes do not fit the configuration."""
    with torch.device("meta"):
        model = Model(checkpoint.config, reading)
    shapes = {name: tuple(p.shape) for name, p in model.named_parameters()}
    names.check(checkpoint.spelling, shapes)
    reader = checkpoint.reader
    for name, shape in shapes.items():
        theirs = checkpoint.spelling[name]
        found = reader.entries[theirs].shape if theirs in reader.entries else None
        if found != shape and not checkpoint.quantised:
            raise wrong_shape(theirs, found, shape)
        if replace is None or not replace(model, name, reader, theirs):
            if found != shape:
                raise wrong_shape(theirs, found, shape)
            put(model, name, reader.whole(theirs, dtype, device))
        release_memory()
    return finish(model, device)


def wrong_shape(name: str, found: tuple[int, ...] | None, wanted: tuple[int, ...]) -> Refusal:
    """The error for a tensor that does not fit the configuration."""
    params = {"name": name, "found": str(found), "wanted": str(wanted)}
    return Refusal(3, Message("minicpmv.refused.shape", params))


def put(model: nn.Module, name: str, tensor: torch.Tensor) -> None:
    """Set a parameter (of the tensor's shape) of a model that was built without memory."""
    owner, _, leaf = name.rpartition(".")
    module = model.get_submodule(owner)
    setattr(module, leaf, nn.Parameter(tensor, requires_grad=False))


def finish(model: Model, device: str) -> Model:
    """Make what is computed and never stored: the rotary frequencies."""
    rotary = model.llm.model.rotary_emb  # type: ignore[union-attr]
    model.llm.model.rotary_emb = type(rotary)(rotary.config).to(device)  # type: ignore[union-attr]
    return model.eval()
