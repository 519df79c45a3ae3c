"""Asking a model the items of a set, greedily and with one fixed template; every response is kept.

``OUT`` receives one record of normal form per answered item, ``OUT.raw.jsonl`` every response as it came,
failed attempts too. Asking again goes on where it stopped; a file made with other settings is refused.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import threading
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import IO, Any, NamedTuple, Protocol

from apograph.behaviour.items import dumps
from apograph.behaviour.records import content_hash
from apograph.behaviour.rows import AnswerFile
from apograph.findings import Message, Refusal

TEMPLATE = "apograph 1"
GIVE_UP = 12
"""Items in a row that stay unanswered, after all attempts, until the rest is left."""


class Reply(NamedTuple):
    """What came back for one item. ``text`` None: nothing usable, the item stays unanswered. ``attempts``:
    every response as it came. ``state`` "refusal" where the server says so; ``revision`` what it says of
    the model; ``margin`` of the log-probabilities of the first token, where given."""

    text: str | None
    attempts: list[dict[str, Any]]
    state: str = ""
    revision: str = ""
    truncated: bool = False
    margin: float | None = None


class Responder(Protocol):
    """A model that can be asked: an endpoint (``ask_endpoint``), a local model (``ask_local``), one's own."""

    @property
    def model(self) -> str:
        """The name that goes into the records."""

    @property
    def decoding(self) -> dict[str, Any]:
        """Everything that decides what is generated, besides the prompt."""

    def answer(self, prompt: str, images: Sequence[Path]) -> Reply:
        """The reply to one prompt; called from several threads when asked with ``concurrency`` > 1."""


@dataclass(slots=True)
class Asked:
    """How it went: items ``answered`` now, ``known`` from before, ``failed`` (asking again tries them
    again)."""

    answered: int = 0
    known: int = 0
    failed: list[str] = field(default_factory=list)
    gave_up: str | None = None


def rendered(item: dict[str, Any]) -> str:
    """The prompt of an item by the fixed template: its text, then its options, lettered."""
    options: list[str] = item["options"]
    if not options:
        return str(item["prompt"])
    lines = [f"{chr(65 + n)}. {option}" for n, option in enumerate(options)]
    return "\n".join([str(item["prompt"]), *lines, "Answer with the letter of the right option only."])


def prompt_hash(item: dict[str, Any]) -> str:
    """SHA-256 (hex) of what is shown: the template's name, the rendered prompt, the images' hashes."""
    shown = json.dumps([TEMPLATE, rendered(item), item["image_hashes"]], separators=(",", ":"))
    return hashlib.sha256(shown.encode()).hexdigest()


def ask(
    responder: Responder,
    items: Sequence[dict[str, Any]],
    folder: Path,
    out: Path,
    concurrency: int = 4,
    progress: Callable[[int, int], None] | None = None,
) -> Asked:
    """Ask every item that ``out`` does not hold yet. ``folder``: where the items' images lie.

    Raises Refusal 4 when ``out`` is in use, was made by another model or with other settings.
    """
    result = Asked()
    with out.open("ab+") as answers, Path(f"{out}.raw.jsonl").open("ab+") as raw:
        try:
            fcntl.flock(answers, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise Refusal(4, Message("answers.error.in_use"), str(out)) from None
        for stream in (answers, raw):
            _mend(stream)
        known = _known(out, responder)
        todo = [item for item in items if (item["item_hash"], prompt_hash(item)) not in known]
        result.known = len(items) - len(todo)
        lock = threading.Lock()

        def one(item: dict[str, Any]) -> str | None:
            reply = responder.answer(rendered(item), [folder / image for image in item["images"]])
            with lock:
                for attempt in reply.attempts:
                    _append(raw, {"item": item["item"], "item_hash": item["item_hash"], **attempt})
                if reply.text is not None or reply.state:
                    _append(answers, _record(responder, item, reply))
            if reply.text is not None or reply.state:
                return None
            last = reply.attempts[-1] if reply.attempts else {}
            return f"{last.get('status') or ''} {last.get('response', '')}".strip()

        _run(todo, one, concurrency, result, progress)
        for stream in (answers, raw):
            os.fsync(stream.fileno())
    return result


def _run(
    todo: Sequence[dict[str, Any]],
    one: Callable[[dict[str, Any]], str | None],
    concurrency: int,
    result: Asked,
    progress: Callable[[int, int], None] | None,
) -> None:
    answered, in_a_row = set(), 0
    with closing(_replies(todo, one, concurrency)) as replies:
        for done, (name, reason) in enumerate(replies, 1):
            if reason is None:
                answered.add(name)
            in_a_row = 0 if reason is None else in_a_row + 1
            if progress is not None:
                progress(done, len(todo))
            if in_a_row == GIVE_UP and done < len(todo):
                result.gave_up = reason
                break
    result.failed = [item["item"] for item in todo if item["item"] not in answered]
    result.answered = len(answered)


def _replies(
    todo: Sequence[dict[str, Any]], one: Callable[[dict[str, Any]], str | None], concurrency: int
) -> Generator[tuple[str, str | None]]:
    """Items' names and why they stayed unanswered (None: they did not), as they come. Several threads are
    daemons: an interrupt ends the program at once, though one of them waits for a busy server. A local model
    is asked from the main thread alone, for a thread within it could not end so."""
    if concurrency == 1:
        yield from ((item["item"], one(item)) for item in todo)
        return
    waiting: SimpleQueue[dict[str, Any]] = SimpleQueue()
    replies: SimpleQueue[tuple[str, str | BaseException | None]] = SimpleQueue()
    for item in todo:
        waiting.put(item)

    def work() -> None:
        with suppress(Empty):
            while True:
                item = waiting.get_nowait()
                try:
                    replies.put((item["item"], one(item)))
                except BaseException as error:  # raised again below
                    replies.put((item["item"], error))

    for _ in range(min(concurrency, len(todo))):
        threading.Thread(target=work, daemon=True).start()
    try:
        for _ in todo:
            name, reason = replies.get()
            if isinstance(reason, BaseException):
                raise reason
            yield name, reason
    finally:
        with suppress(Empty):
            while True:
                waiting.get_nowait()


def _record(responder: Responder, item: dict[str, Any], reply: Reply) -> dict[str, Any]:
    found: dict[str, Any] = {
        "model": responder.model,
        "revision": reply.revision,
        "item": item["item"],
        "item_hash": item["item_hash"],
        "content_hash": content_hash(item["prompt"], item["options"], item["image_hashes"]),
        "prompt_hash": prompt_hash(item),
        "decoding": {**responder.decoding, "template": TEMPLATE},
        "raw": reply.text,
    }
    optional = {"state": reply.state, "truncated": reply.truncated, "options": item["options"]}
    found.update({name: value for name, value in optional.items() if value})
    if reply.margin is not None:
        found["margin"] = reply.margin
    if "key" in item:
        found["key"] = item["key"]
    return found


def _append(stream: IO[bytes], record: dict[str, Any]) -> None:
    stream.write((dumps(record) + "\n").encode("utf-8", "backslashreplace"))
    stream.flush()


def _mend(stream: IO[bytes]) -> None:
    """Cut off a last line that was not written to its end, and stand at the end."""
    end = stream.seek(0, os.SEEK_END)
    if end:
        stream.seek(max(0, end - (64 << 20)))
        tail = stream.read()
        if not tail.endswith(b"\n"):
            stream.truncate(end - len(tail) + tail.rfind(b"\n") + 1)
    stream.seek(0, os.SEEK_END)


def _known(out: Path, responder: Responder) -> set[tuple[str, str]]:
    """What ``out`` holds already, by item and prompt."""
    if not out.stat().st_size:
        return set()
    known = set()
    settings = {**responder.decoding, "template": TEMPLATE}
    for row in AnswerFile(out):
        if row.get("model") != responder.model or row.get("decoding") != settings:
            raise Refusal(4, Message("answers.error.other_settings"), str(out))
        known.add((str(row.get("item_hash")), str(row.get("prompt_hash"))))
    return known
