"""A model with its tokenizer, answering conversations and remembering what the next turn can use again.

Two things are kept between calls. The vectors of pictures: by picture, or, under the reading "original", by
all pictures of the prompt together, because there each slice depends on the others of its batch. And the
key-value cache of the last conversation: the next prompt is only computed from where it first differs.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor

from apograph.minicpmv.generate import Decoding, beam_search, new_cache, stream
from apograph.minicpmv.image import Picture, prepare
from apograph.minicpmv.model import Model
from apograph.minicpmv.prompt import Message, Part, Prompt, build
from apograph.minicpmv.tokens import Tokenizer, settled

KEPT_PICTURES = 32


@dataclass(frozen=True, slots=True)
class Piece:
    """Some more text of an answer. The last piece says why it ended; ``ids`` are all ids so far."""

    text: str
    ids: tuple[int, ...]
    finish: Literal["stop", "length"] | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer. ``reused`` prompt positions came from the cache of the turn before."""

    text: str
    ids: tuple[int, ...]
    finish: Literal["stop", "length"]
    prompt_tokens: int
    reused: int


class Engine:
    """Answers conversations, one at a time: use it from one thread."""

    def __init__(self, model: Model, tokenizer: Tokenizer) -> None:
        self.model = model
        self.tokenizer = tokenizer
        self.prompt_tokens = 0
        self.reused = 0
        self._cache: Any = None
        self._keys: list[Hashable] = []  # one for each position that the cache holds
        self._seen: OrderedDict[Hashable, Tensor] = OrderedDict()

    def picture(self, image: Any) -> Picture:
        """Prepare an RGB picture (a PIL image) for a message."""
        return prepare(image, self.model.config)

    def prompt(self, messages: Sequence[Message], decoding: Decoding) -> Prompt:
        """Encode a conversation, leaving room for the answer. Raises Refusal as ``prompt.build`` does."""
        room = max(self.model.config.max_position_embeddings - decoding.max_new_tokens, 1)
        return build(messages, self.tokenizer, self.model.config, room)

    def answer(self, messages: Sequence[Message], decoding: Decoding) -> Answer:
        """The whole answer at once."""
        *_, last = (pieces := list(self.stream(self.prompt(messages, decoding), decoding)))
        text = "".join(piece.text for piece in pieces)
        return Answer(text, last.ids, last.finish or "stop", self.prompt_tokens, self.reused)

    @torch.inference_mode()
    def stream(self, prompt: Prompt, decoding: Decoding) -> Iterator[Piece]:
        """The answer piece by piece; closing the iterator stops the work. Beams come as one piece."""
        stops = self.tokenizer.special.stops
        seen = self._see(prompt)
        self.prompt_tokens, self.reused = len(prompt.ids), 0
        if decoding.beams > 1:
            ids = beam_search(self.model, self.model.embed(prompt, seen), decoding, stops)
            yield Piece(
                self.tokenizer.decode(ids), tuple(ids), "stop" if ids[-1:] == [stops[0]] else "length"
            )
            return
        keys = self._position_keys(prompt)
        self.reused = past = self._rewind(keys)
        embeds = self.model.embed(prompt, seen)[past:]
        ids, shown = [], 0
        try:
            for (id_,) in stream(self.model, [embeds], decoding, stops, self._cache, past):
                self._keys = [*keys, *ids]
                assert id_ is not None  # there is one row, and it ends the iteration
                ids.append(id_)
                ended = id_ in stops
                text = self.tokenizer.decode(ids)
                last = ended or len(ids) == decoding.max_new_tokens
                end = len(text) if last else max(settled(text), shown)
                new, shown = text[shown:end], end
                if new or last:
                    yield Piece(new, tuple(ids), ("stop" if ended else "length") if last else None)
        finally:
            if self._cache.get_seq_length() != len(self._keys):
                self._cache = None  # interrupted in the middle of a step

    def _see(self, prompt: Prompt) -> Tensor | None:
        """The vectors (slices, query_num, D) of a prompt's pictures, remembered."""
        if not prompt.pictures:
            return None
        return torch.cat([self._remembered(group) for group in self._groups(prompt)])

    def _groups(self, prompt: Prompt) -> list[tuple[Picture, ...]]:
        """The pictures that influence one another."""
        together = self.model.reading == "original" and self.model.config.batch_vision_input
        return [prompt.pictures] if together else [(picture,) for picture in prompt.pictures]

    def _remembered(self, group: tuple[Picture, ...]) -> Tensor:
        key = tuple(picture.digest for picture in group)
        if key not in self._seen:
            self._seen[key] = self.model.see(group)
            if len(self._seen) > KEPT_PICTURES:
                self._seen.popitem(last=False)
        self._seen.move_to_end(key)
        return self._seen[key]

    def _position_keys(self, prompt: Prompt) -> list[Hashable]:
        """What each position of the prompt holds: a token id, or a part of a picture among its companions."""
        keys: list[Hashable] = list(prompt.ids)
        places = iter(prompt.places)
        for group in self._groups(prompt) if prompt.pictures else []:
            name = tuple(picture.digest for picture in group)
            for number in range(sum(len(picture.pixels) for picture in group)):
                start, stop = next(places)
                keys[start:stop] = [(name, number, i) for i in range(stop - start)]
        return keys

    def _rewind(self, keys: list[Hashable]) -> int:
        """Cut the cache back to what it shares with ``keys``; at least one position is left to compute."""
        if self._cache is None:
            self._cache, self._keys = new_cache(), []
        pairs = zip(self._keys, keys[:-1], strict=False)
        past = next((i for i, (a, b) in enumerate(pairs) if a != b), min(len(self._keys), len(keys) - 1))
        if past == 0:
            self._cache = new_cache()
        for layer in self._cache.layers:
            layer.keys, layer.values = layer.keys[:, :, :past], layer.values[:, :, :past]
        self._keys = keys[:past]
        return past


class Chat:
    """A conversation of several turns."""

    def __init__(self, engine: Engine, system: str = "") -> None:
        self.engine = engine
        self.messages: list[Message] = [Message("system", (system,))] if system else []

    def ask(self, parts: Sequence[Part], decoding: Decoding) -> Iterator[Piece]:
        """Add a user's message and stream the answer, which joins the conversation once it is complete.

        A refused message, or an answer that the caller breaks off, leaves the conversation as it was.
        """
        messages = [*self.messages, Message("user", tuple(parts))]
        text = ""
        for piece in self.engine.stream(self.engine.prompt(messages, decoding), decoding):
            text += piece.text
            yield piece
        self.messages = [*messages, Message("assistant", (text,))]
