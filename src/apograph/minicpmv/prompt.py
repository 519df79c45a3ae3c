"""A conversation becomes token ids, with places for the pictures.

Llama-3's template: begin-of-text once, then for each message its role between header tokens, two line
breaks, the trimmed content and end-of-turn; the header of the answer closes the prompt. A message's parts
are joined by line breaks in their order. A picture is written

    <image> unk * 96 </image>                                         the overview, then, when it was sliced,
    <slice> rows of <image> unk * 96 </image>, joined by "\\n" </slice>

and the embeddings between <image> and </image> are later replaced by the resampler's vectors.

The published code cut a prompt that was longer than 2048 ids at the end: the header of the answer was lost,
or, when the cut fell inside a picture, the call crashed. A prompt that is too long is refused here instead,
before any work.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from apograph.findings import Message as Words
from apograph.findings import Refusal
from apograph.minicpmv.config import Config
from apograph.minicpmv.image import Picture
from apograph.minicpmv.slicing import Plan
from apograph.minicpmv.tokens import Tokenizer

Role = Literal["system", "user", "assistant"]


@dataclass(frozen=True, slots=True)
class Markup:
    """Text in which <box>, <ref>, <quad> and <point> are tokens: an answer, or an action quoted in a
    prompt."""

    text: str


Part: TypeAlias = str | Markup | Picture


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its parts in order. An assistant's text is always read as :class:`Markup`."""

    role: Role
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Prompt:
    """``ids`` of the whole prompt; ``pictures`` in order; ``places[i]`` = [start, stop) of the i-th slice's
    vectors."""

    ids: tuple[int, ...]
    pictures: tuple[Picture, ...]
    places: tuple[tuple[int, int], ...]


def build(
    messages: Sequence[Message], tokenizer: Tokenizer, config: Config, limit: int | None = None
) -> Prompt:
    """Encode a conversation that a user's message ends. Raises Refusal(4) when roles are out of order,
    Refusal(5) when the prompt has more than ``limit`` ids (default: all positions of the model)."""
    check_roles(messages)
    ids, _ = encode_messages(messages, tokenizer, config)
    ids += _header("assistant", [], tokenizer)
    limit = config.max_position_embeddings if limit is None else limit
    if len(ids) > limit:
        raise Refusal(5, Words("minicpmv.refused.long", {"ids": len(ids), "limit": limit}))
    pictures = tuple(part for m in messages for part in m.parts if isinstance(part, Picture))
    return Prompt(tuple(ids), pictures, places(ids, tokenizer))


def encode_messages(
    messages: Sequence[Message], tokenizer: Tokenizer, config: Config
) -> tuple[list[int], list[tuple[int, int]]]:
    """Ids of whole messages, and of each the span of its content and end-of-turn."""
    ids, spans = [tokenizer.special.bos], []
    for message in messages:
        start = len(ids) + len(_header(message.role, [], tokenizer))
        ids += _header(message.role, _content(message, tokenizer, config), tokenizer)
        ids.append(tokenizer.special.eot)
        spans.append((start, len(ids)))
    return ids, spans


def check_roles(messages: Sequence[Message]) -> None:
    """At most one system message, first; then user and assistant, beginning and ending with user."""
    roles = [m.role for m in messages]
    turns = roles[1:] if roles[:1] == ["system"] else roles
    if not turns or turns[0] != "user" or turns[-1] != "user" or "system" in turns:
        raise Refusal(4, Words("minicpmv.refused.roles"))


def places(ids: Sequence[int], tokenizer: Tokenizer) -> tuple[tuple[int, int], ...]:
    """[start, stop) between each <image> and the next </image>."""
    special = tokenizer.special
    starts = [i + 1 for i, id_ in enumerate(ids) if id_ == special.image]
    stops = [i for i, id_ in enumerate(ids) if id_ == special.image_end]
    return tuple(zip(starts, stops, strict=True))


Piece: TypeAlias = str | int  # an int is a token id


def _header(role: str, content: list[Piece], tokenizer: Tokenizer) -> list[int]:
    special = tokenizer.special
    return encode([special.start_header, role, special.end_header, "\n\n", *content], tokenizer)


def encode(pieces: Sequence[Piece], tokenizer: Tokenizer) -> list[int]:
    """Ids of a sequence of texts and ids. Neighbouring texts are encoded together, as published."""
    ids: list[int] = []
    text = ""
    for piece in pieces:
        if isinstance(piece, str):
            text += piece
        else:
            ids += [*tokenizer.encode(text), piece]
            text = ""
    return ids + tokenizer.encode(text)


def _content(message: Message, tokenizer: Tokenizer, config: Config) -> list[Piece]:
    pieces: list[Piece] = []
    for i, part in enumerate(message.parts):
        if i:
            pieces.append("\n")
        if isinstance(part, Picture):
            pieces += picture_pieces(part.plan, tokenizer, config)
        elif isinstance(part, Markup):
            pieces += tokenizer.split_markup(part.text)
        else:
            pieces += tokenizer.split_markup(part) if message.role == "assistant" else [part]
    return _trimmed(pieces)


def _trimmed(pieces: list[Piece]) -> list[Piece]:
    """White space removed at both ends of the joined content."""
    for end, strip in ((0, str.lstrip), (-1, str.rstrip)):
        while pieces and isinstance(pieces[end], str):
            pieces[end] = strip(str(pieces[end]))
            if pieces[end]:
                break
            pieces.pop(end)
    return pieces


def picture_pieces(plan: Plan, tokenizer: Tokenizer, config: Config) -> list[Piece]:
    """The tokens that hold a picture's place."""
    special = tokenizer.special
    one: list[Piece] = [special.image, *[special.unk] * config.query_num, special.image_end]
    if plan.grid is None:
        return one
    columns, rows = plan.grid
    pieces: list[Piece] = [*one, special.slice]
    for row in range(rows):
        pieces += (["\n"] if row else []) + one * columns
    return [*pieces, special.slice_end]
