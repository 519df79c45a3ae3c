"""The tokenizer of a release, read from tokenizer.json without the release's code.

Three faults of the published code are mended here; the old behaviour of decoding stays testable.

* A lone "!" was lost from every answer: the padding id 0 is the text token "!", and all zeros were
  removed before decoding. (:meth:`Tokenizer.decode_as_published` still does that.)
* Special tokens written by a user ("<image>", "<|eot_id|>") became the tokens themselves, so text could forge
  pictures and turns. Text is now encoded as text; only what this package composes yields special tokens.
* A second begin-of-text could appear, when tokenizer.json adds one. There is always exactly one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from apograph.findings import Message, Refusal

STRUCTURE = {
    "bos": "<|begin_of_text|>",
    "end_of_text": "<|end_of_text|>",
    "start_header": "<|start_header_id|>",
    "end_header": "<|end_header_id|>",
    "eot": "<|eot_id|>",
    "image": "<image>",
    "image_end": "</image>",
    "slice": "<slice>",
    "slice_end": "</slice>",
    "unk": "<unk>",
}
MARKUP = ("<ref>", "</ref>", "<box>", "</box>", "<quad>", "</quad>", "<point>", "</point>")
_MARKUP = re.compile("(" + "|".join(MARKUP) + ")")
MAX_FILE = 64 << 20


@dataclass(frozen=True, slots=True)
class Special:
    """Ids of the tokens that build a prompt."""

    bos: int
    end_of_text: int
    start_header: int
    end_header: int
    eot: int
    image: int
    image_end: int
    slice: int
    slice_end: int
    unk: int

    @property
    def stops(self) -> tuple[int, int]:
        """The ids that end an answer."""
        return self.end_of_text, self.eot


class Tokenizer:
    """Text to ids and back. ``special`` holds the structural ids."""

    def __init__(self, backend: Any) -> None:
        self._backend = backend
        backend.encode_special_tokens = True  # text is text, whatever it spells
        ids = {role: backend.token_to_id(token) for role, token in STRUCTURE.items()}
        missing = [STRUCTURE[role] for role, id_ in ids.items() if id_ is None]
        if missing:
            raise Refusal(3, Message("minicpmv.refused.tokens", {"tokens": ", ".join(missing)}))
        self.special = Special(**ids)
        known = {token: backend.token_to_id(token) for token in MARKUP}
        self._markup: dict[str, int] = {token: id_ for token, id_ in known.items() if id_ is not None}

    @classmethod
    def from_file(cls, path: Path) -> Tokenizer:
        """Load an untrusted tokenizer.json. Raises Refusal(3) when it is malformed, Refusal(5) when too
        large."""
        import tokenizers

        if path.stat().st_size > MAX_FILE:
            raise Refusal(5, Message("minicpmv.refused.tokenizer_size"), str(path))
        try:
            backend = tokenizers.Tokenizer.from_str(path.read_text("utf-8"))
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as fault:  # its Rust side panics outside the Exception tree
            raise Refusal(3, Message("minicpmv.refused.tokenizer"), str(path)) from fault
        backend.no_padding()
        backend.no_truncation()
        return cls(backend)

    @property
    def size(self) -> int:
        """Number of ids, special ones included."""
        return int(self._backend.get_vocab_size(with_added_tokens=True))

    def encode(self, text: str) -> list[int]:
        """Ids of plain text."""
        return list(self._backend.encode(text, add_special_tokens=False).ids)

    def split_markup(self, text: str) -> list[str | int]:
        """The text with the tokens of boxes, references and points in it as ids."""
        pieces = filter(None, _MARKUP.split(text))
        return [self._markup.get(piece, piece) for piece in pieces]

    def decode(self, ids: Sequence[int]) -> str:
        """An answer's text: without its begin and end tokens; markup such as <box> is kept."""
        ids = list(ids)
        if ids[:1] == [self.special.bos]:
            ids = ids[1:]
        if ids and ids[-1] in self.special.stops:
            ids = ids[:-1]
        return tidy(self._backend.decode(ids, skip_special_tokens=False)).strip()

    def decode_as_published(self, ids: Sequence[int]) -> str:
        """What the published code returned: every id 0, the text "!", is dropped first."""
        return self.decode([i for i in ids if i != 0])


_TIDY: tuple[tuple[str, str], ...] = (
    *((f" {mark}", mark) for mark in ".?!,"),
    (" ' ", "'"),
    *((f" {ending}", ending) for ending in ("n't", "'m", "'s", "'ve", "'re")),
)
HELD_BACK = max(len(before) for before, _ in _TIDY)


def tidy(text: str) -> str:
    """Rejoin punctuation that was set off by a space, as the release's tokenizer configuration asks for."""
    for before, after in _TIDY:
        text = text.replace(before, after)
    return text


def settled(text: str) -> int:
    """How much of a growing decoded text can be shown: later tokens will not change these characters.

    An unfinished character decodes to U+FFFD, and :func:`tidy` may still join what follows a space near the
    end.
    """
    end = len(text.rstrip("\ufffd").rstrip())
    space = text.rfind(" ", max(end - HELD_BACK, 0), end)
    return space if space >= 0 else end
