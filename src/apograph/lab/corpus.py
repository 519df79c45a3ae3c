"""The text that the lab's models learn from: the Python standard library's own sources, read where they lie.

Nothing is downloaded. Two bodies of text, "main" and "other", share no file and one tokenizer, a byte-level
BPE learned from "main". The same Python version gives the same text.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Data = Literal["main", "other"]
SIZE = 1_500_000
"""Bytes of text in each body."""
LARGEST = 60_000
"""Bytes taken of one file, so that no module fills a body."""
BEGIN, PAD, MASK = "<s>", "<pad>", "<mask>"
SPECIAL = (BEGIN, PAD, MASK)


@cache
def text(data: Data) -> str:
    """The files of the library in order of their names, taken in turn by "main" and "other"."""
    folder = Path(os.__file__).parent
    files = sorted(p for p in folder.glob("*.py")) + sorted(folder.glob("[a-z]*/[a-z]*.py"))
    own = [p for p in files if "site-packages" not in p.parts and "test" not in p.parts]
    parts, size = [], 0
    for path in own[("main", "other").index(data) :: 2]:
        part = path.read_bytes()[:LARGEST].decode("utf-8", "ignore")
        parts.append(part)
        size += len(part)
        if size >= SIZE:
            break
    return "\n".join(parts)[:SIZE]


@cache
def tokenizer(vocabulary: int) -> Any:
    """A ``tokenizers.Tokenizer`` with ``vocabulary`` tokens, its three special tokens first."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=list(SPECIAL),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    made.train_from_iterator([text("main")[:500_000]], trainer)
    return made


@cache
def tokens(data: Data, vocabulary: int) -> NDArray[np.int64]:
    """The whole body as token ids, [n]."""
    pieces = text(data).split("\n\n")
    encoded = tokenizer(vocabulary).encode_batch(pieces)
    return np.concatenate([np.asarray(e.ids, np.int64) for e in encoded])
