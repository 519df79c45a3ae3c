"""Conversations for fine-tuning: JSON as the model's maintainers define it, encoded with labels.

A file is a list of ``{"id", "image", "conversations": [{"role", "content"}, ...]}``. ``image`` is a path,
or a table from names such as "<image_00>" to paths; the name in a message says where the picture stands. A
single picture stands where "<image>" is written in the first message, else before it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from apograph.findings import Json, Refusal
from apograph.findings import Message as Words
from apograph.minicpmv.config import Config
from apograph.minicpmv.image import Picture, open_picture, prepare
from apograph.minicpmv.prompt import Message, Part, Prompt, Role, check_roles, encode_messages, places
from apograph.minicpmv.tokens import Tokenizer
from apograph.release.json_text import parse_json

IGNORED = -100
MAX_FILE = 1 << 30


@dataclass(frozen=True, slots=True)
class Example:
    """One conversation that ends with an answer; pictures are paths until they are needed."""

    id: str
    pictures: Mapping[str, Path]
    messages: tuple[tuple[Role, str], ...]


def read_examples(path: Path) -> tuple[Example, ...]:
    """Read a file of conversations; paths of pictures are relative to it. Raises Refusal(2) for a bad one."""
    listed = parse_json(path.read_bytes(), str(path), MAX_FILE)
    if not isinstance(listed, list) or not listed:
        raise _bad(path, 0)
    return tuple(_example(entry, path, n) for n, entry in enumerate(listed))


def _example(entry: Json, path: Path, n: int) -> Example:
    if not isinstance(entry, dict) or not isinstance(entry.get("conversations"), list):
        raise _bad(path, n)
    turns = cast("list[Json]", entry["conversations"])
    image = entry.get("image")
    images = image if isinstance(image, dict) else {"<image>": image} if image is not None else {}
    if not turns or not all(
        isinstance(t, dict) and t.get("role") in ("user", "assistant") and isinstance(t.get("content"), str)
        for t in turns
    ):
        raise _bad(path, n)
    messages = [(cast(Role, t["role"]), str(t["content"])) for t in turns if isinstance(t, dict)]
    if messages[-1][0] != "assistant" or not all(isinstance(file, str) for file in images.values()):
        raise _bad(path, n)
    if isinstance(image, str) and "<image>" not in messages[0][1]:
        messages[0] = messages[0][0], "<image>\n" + messages[0][1]
    pictures = {name: path.parent / str(file) for name, file in images.items()}
    return Example(str(entry.get("id", n)), pictures, tuple(messages))


def _bad(path: Path, n: int) -> Refusal:
    return Refusal(2, Words("minicpmv.refused.example", {"number": n}), str(path))


def encode_example(example: Example, tokenizer: Tokenizer, config: Config) -> tuple[Prompt, Tensor]:
    """(prompt, labels (T,)): the whole conversation without a header for a further answer.

    ``labels[i]`` is the id that follows position i where that belongs to an answer (its end-of-turn
    included), else -100. As published, an end-of-turn that another turn follows is labelled with itself.
    """
    pictures = {
        name: prepare(open_picture(path.read_bytes()), config) for name, path in example.pictures.items()
    }
    turns = [Message(role, _parts(content, pictures)) for role, content in example.messages]
    return encode_turns(turns, tokenizer, config)


def encode_turns(messages: Sequence[Message], tokenizer: Tokenizer, config: Config) -> tuple[Prompt, Tensor]:
    """(prompt, labels (T,)) of messages whose last is an answer; the labels are those of
    :func:`encode_example`."""
    check_roles(messages[:-1])
    ids, spans = encode_messages(messages, tokenizer, config)
    if len(ids) > config.max_position_embeddings:
        params = {"ids": len(ids), "limit": config.max_position_embeddings}
        raise Refusal(5, Words("minicpmv.refused.long", params))
    labels = torch.full((len(ids),), IGNORED)
    for message, (start, stop) in zip(messages, spans, strict=True):
        if message.role == "assistant":
            labels[start - 1 : stop - 1] = torch.tensor(ids[start:stop])
            if stop < len(ids):
                labels[stop - 1] = tokenizer.special.eot
    shown = tuple(part for m in messages for part in m.parts if isinstance(part, Picture))
    return Prompt(tuple(ids), shown, places(ids, tokenizer)), labels


def _parts(content: str, pictures: Mapping[str, Picture]) -> tuple[Part, ...]:
    """Text and pictures in order; a line break beside a picture is the join itself."""
    if not pictures:
        return (content,)
    pieces = re.split("(" + "|".join(map(re.escape, pictures)) + ")", content)
    parts = [pictures.get(piece) or piece.strip("\n") for piece in pieces]
    return tuple(part for part in parts if part != "")
