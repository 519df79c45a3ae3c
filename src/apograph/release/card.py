"""The model card: its front matter as data, and its text."""

from __future__ import annotations

import re

from apograph.findings import Unexamined
from apograph.release.refuse import refuse
from apograph.release.types import Card
from apograph.release.yaml_subset import NotPlainYaml, read_yaml

MAX_CARD = 4 << 20
MAX_FRONT = 1 << 20
_FRONT = re.compile(r"\s*---[ \t]*\n(.*?\n)??---[ \t]*(?:\n|\Z)", re.DOTALL)


def read_card(data: bytes, path: str) -> tuple[Card, tuple[Unexamined, ...]]:
    """The card, and what of it was not understood (then ``declared`` is empty and the text remains).

    Raises Refusal 5 for more than 4 MiB or a front matter over 1 MiB, 2 for a card that is not UTF-8.
    """
    if len(data) > MAX_CARD:
        raise refuse("card.size", path, code=5, limit=MAX_CARD)
    try:
        text = data.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise refuse("card.encoding", path, error.start) from None
    front = _FRONT.match(text)
    if front is None:
        return Card(path, {}, text), ()
    if front.end() > MAX_FRONT:
        raise refuse("card.size", path, code=5, limit=MAX_FRONT)
    body = text[front.end() :]
    try:
        declared = read_yaml((front[1] or "").removesuffix("\n"))
        if declared is not None and not isinstance(declared, dict):
            raise NotPlainYaml(1, "map")
    except NotPlainYaml as fault:
        reason = refuse("card.yaml", path, line=fault.line, what=fault.what).message
        return Card(path, {}, body), (Unexamined("card", reason, path=path, fault=True),)
    return Card(path, declared or {}, body), ()
