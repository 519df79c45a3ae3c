"""One answer in normal form, and the identity of the item that it answers."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

MAX_ROWS = 10_000_000
MAX_LINE = 1 << 20
MAX_TEXT = 1 << 29
"""Limits of one answer file: rows, bytes of a row; and characters of distinct text held for all files."""


class Record(NamedTuple):
    """One answer. ``identity`` is what files are joined on: ``h:`` a hash of the item's content, ``i:`` the
    item's name alone (when a file holds no content). ``answer`` None: the model gave none. ``sample`` tells
    repeated questions apart (the seed). ``margin`` is the log-probability of the answer over the runner-up's.
    ``state`` is "refusal" or "failure" where the file itself says so. ``options`` counts the choices offered.
    """

    identity: str
    item: str
    answer: str | None
    key: str | None = None
    prompt_hash: str | None = None
    sample: str = ""
    margin: float | None = None
    state: str = ""
    options: int = 0
    model: str = ""
    sigma: float | None = None


def content_hash(prompt: str, options: Sequence[str] = (), images: Sequence[str] = (), item: str = "") -> str:
    """SHA-256 (hex) of what an item shows: prompt in Unicode NFC, options, SHA-256 of each image.

    ``item`` (the item's name) is added where images are shown but not at hand, for then a thousand items may
    share one prompt.
    """
    text = prompt if prompt.isascii() else unicodedata.normalize("NFC", prompt)
    parts = json.dumps([text, list(options), list(images), item], ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(parts.encode("ascii")).hexdigest()
