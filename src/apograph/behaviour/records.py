"""One answer in normal form, and the identity of the item that it answers."""

from __future__ import annotations

import hashlib
import json
import unicodedata
from collections.abc import Sequence
from typing import Literal, NamedTuple

MAX_ROWS = 10_000_000
MAX_LINE = 1 << 20
MAX_TEXT = 1 << 29
"""Limits of one answer file: rows, bytes of a row; and characters of distinct text held for all files."""

By = Literal["content", "shown", "name"]
"""What items are joined on, see ``identified``."""


class Record(NamedTuple):
    """One answer. ``identity`` is what files are joined on: ``h:`` a hash of the item's content, ``p:`` one
    without the item's name, ``i:`` the item's name alone (when a file holds no content). ``answer`` None: the
    model gave none. ``sample`` tells repeated questions apart (the seed). ``margin`` is the log-probability
    of the answer over the runner-up's. ``state`` is "refusal" or "failure" where the file itself says so.
    ``options`` counts the choices offered.
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


def identified(
    by: By,
    item: str,
    prompt_hash: str | None,
    given: str,
    content: tuple[str | None, Sequence[str], Sequence[str]],
    shown: str = "",
) -> tuple[str, str | None]:
    """(identity, prompt hash) of an item named ``item``. ``given``: the hash of its content that the file
    states ("" without); ``content``: prompt, options and hashes of images as far as the row has them;
    ``shown``: the ``content_hash`` of these, where the file states it.

    By "content": what is given, else the hash of the content with the item's name, else the name. By "shown":
    the hash of the content alone where there is one, so that names do not matter; prompt hashes are not
    compared then, for every tool makes them its own way. By "name": the name, and the content in the place
    of the prompt's hash.
    """
    prompt, options, images = content
    if given:
        identity = "h:" + given
    elif prompt:
        identity = "h:" + content_hash(prompt, options, images, "" if images else item)
    else:
        identity = "i:" + item
    if by == "content":
        return identity, prompt_hash
    if by == "name":
        return "i:" + item, identity if identity.startswith("h:") else None
    if prompt:
        shown = content_hash(prompt, options, images)
    return "p:" + shown if shown else identity, None
