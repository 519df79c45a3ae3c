"""The model inside a tokenizer: vocabulary, merges, settings; and the tokens added to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from apograph.findings import Json
from apograph.release.refuse import refuse
from apograph.release.types import AddedToken

MAX_TOKENS = 2_000_000
MAX_TOKEN = 1 << 16
MAX_ID = (1 << 32) - 1


@dataclass(frozen=True, slots=True)
class Model:
    """``vocab`` maps token to id, ``merges`` are in rank order, ``settings`` are the type and the scalars."""

    vocab: Mapping[str, int]
    merges: tuple[str, ...] | None
    settings: Mapping[str, Json]


def read_model(model: Json, path: str) -> Model:
    """The ``model`` of a tokenizer.json: BPE, WordPiece, WordLevel or Unigram.

    Raises Refusal 2 for another form, 5 for more than two million tokens or one over 64 KiB.
    """
    if not isinstance(model, dict):
        raise refuse("tokenizer.form", path)
    listed = model.get("vocab")
    if isinstance(listed, list):
        listed = _unigram(listed, path)
    if not isinstance(listed, dict):
        raise refuse("tokenizer.form", path)
    merges = model.get("merges")
    settings = {k: v for k, v in model.items() if not isinstance(v, (dict, list))}
    settings.setdefault("type", "BPE" if merges is not None else "WordPiece")
    return Model(vocab_map(listed, path), None if merges is None else _merges(merges, path), settings)


def vocab_map(listed: Mapping[str, Json], path: str) -> Mapping[str, int]:
    """``listed``, when every value is an id of 32 bits and the sizes are within bounds; raises Refusal."""
    if len(listed) > MAX_TOKENS:
        raise refuse("tokenizer.many", path, code=5, limit=MAX_TOKENS)
    vocab: dict[str, int] = {}
    for token, number in listed.items():
        if type(number) is not int or not 0 <= number <= MAX_ID:
            raise refuse("tokenizer.id", path, token=token)
        if len(token) > MAX_TOKEN:
            raise refuse("tokenizer.long", path, code=5, limit=MAX_TOKEN)
        vocab[token] = number
    return vocab


def _unigram(listed: list[Json], path: str) -> dict[str, Json]:
    """[[token, score], ...]: ids are positions. A token that stands twice keeps its first id."""
    vocab: dict[str, Json] = {}
    for i, pair in enumerate(listed):
        if not isinstance(pair, list) or len(pair) != 2 or not isinstance(pair[0], str):
            raise refuse("tokenizer.form", path)
        vocab.setdefault(pair[0], i)
    return vocab


def _merges(listed: Json, path: str) -> tuple[str, ...]:
    """Merges as "left right", whether they stand so or as pairs."""
    if not isinstance(listed, list):
        raise refuse("tokenizer.form", path)
    merges: list[str] = []
    for merge in listed:
        if isinstance(merge, list) and len(merge) == 2 and all(isinstance(m, str) for m in merge):
            merges.append(f"{merge[0]} {merge[1]}")
        elif isinstance(merge, str):
            merges.append(merge)
        else:
            raise refuse("tokenizer.form", path)
    return tuple(merges)


def token_text(value: Json) -> str | None:
    """The text of a token given as a string or as {"content": ...}."""
    if isinstance(value, dict):
        value = value.get("content")
    return value if isinstance(value, str) else None


def added_token(entry: Json, number: Json) -> AddedToken | None:
    """An added token; its id is ``number`` (a decimal string as key, or an integer), else the entry's own.
    None when id or content make no sense."""
    content = token_text(entry)
    if content is None or not isinstance(entry, dict):
        return None
    if number is None:
        number = entry.get("id")
    if isinstance(number, str) and number.isascii() and number.isdigit() and len(number) <= 10:
        number = int(number)
    if type(number) is not int or not 0 <= number <= MAX_ID:
        return None
    flags = {k: v for k, v in entry.items() if isinstance(v, bool) and k != "special"}
    return AddedToken(number, content, entry.get("special") is True, flags)
