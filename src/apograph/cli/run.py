"""``apograph run``: ask a vision-language model, once or in a conversation."""

from __future__ import annotations

import json as json_format
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from apograph.findings import Message, Refusal
from apograph.report.words import say

if TYPE_CHECKING:
    from PIL.Image import Image

    from apograph.minicpmv.engine import Engine
    from apograph.minicpmv.generate import Decoding

MODES = ("sample", "greedy", "beams")
TASKS = ("ocr", "act", "describe")
ATTACH = "/image "

Like = Annotated[Path | None, typer.Option("--like", metavar="REFERENCE", help=say("cli.run.like"))]
Quantise = Annotated[str | None, typer.Option("--quantise", metavar="KIND", help=say("cli.run.quantise"))]
Dtype = Annotated[str | None, typer.Option("--dtype", metavar="TYPE", help=say("cli.run.dtype"))]
Device = Annotated[str | None, typer.Option("--device", metavar="DEVICE", help=say("cli.run.device"))]
Reading = Annotated[str, typer.Option("--reading", metavar="READING", help=say("cli.run.reading"))]


def run(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=say("cli.run.model"))],
    prompt: Annotated[
        str | None, typer.Option("--prompt", "-p", metavar="TEXT", help=say("cli.run.prompt"))
    ] = None,
    image: Annotated[list[Path], typer.Option("--image", metavar="FILE", help=say("cli.run.image"))] = [],  # noqa: B006 - typer copies it
    system: Annotated[str, typer.Option("--system", metavar="TEXT", help=say("cli.run.system"))] = "",
    task: Annotated[str | None, typer.Option("--task", metavar="TASK", help=say("cli.run.task"))] = None,
    history: Annotated[
        list[str], typer.Option("--history", metavar="ACTION", help=say("cli.run.history"))
    ] = [],  # noqa: B006
    draw: Annotated[str | None, typer.Option("--draw", metavar="FILE", help=say("cli.run.draw"))] = None,
    like: Like = None,
    quantise: Quantise = None,
    save: Annotated[Path | None, typer.Option("--save", metavar="DIR", help=say("cli.run.save"))] = None,
    dtype: Dtype = None,
    device: Device = None,
    reading: Reading = "original",
    decode: Annotated[str, typer.Option("--decode", metavar="MODE", help=say("cli.run.decode"))] = "sample",
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help=say("cli.run.max_tokens"))] = 1024,
    seed: Annotated[int | None, typer.Option("--seed", min=0, help=say("cli.run.seed"))] = None,
    json: Annotated[bool, typer.Option("--json", help=say("cli.run.json"))] = False,
    lang: Annotated[str, typer.Option("--lang", metavar="LANG", help=say("cli.run.lang"))] = "en",
) -> int:
    """One answer when there is a prompt or a task; else a conversation, one message per line of input."""
    from apograph.cli.output import Output
    from apograph.minicpmv.loading import need, one_of, open_engine

    one_of("--decode", decode, MODES)
    one_of("--task", task, TASKS)
    one_of("--lang", lang, ("en", "zh"))
    if task == "act" and not prompt:
        raise Refusal(4, Message("run.error.act"))
    if draw is not None and not image:
        raise Refusal(4, Message("run.error.draw"))
    if save is not None and quantise is None:
        raise Refusal(4, Message("run.error.save"))
    need("torch", "transformers", "tokenizers", "PIL", extra="vlm")
    pictures = [_picture(path) for path in image]  # told before the model is loaded
    engine = open_engine(model, like, quantise, dtype, device, reading)
    if save is not None:
        from apograph.minicpmv.checkpoint import TOKENIZER
        from apograph.minicpmv.quantise import save as save_model

        save_model(engine.model, save, model / TOKENIZER)
    decoding = _decoding(decode, max_tokens, seed)
    if prompt is None and task is None:
        return _converse(engine, system, pictures, decoding, json)
    if draw is None:
        _once(engine, system, _parts(task, lang, prompt or "", history), pictures, decoding, json)
        return 0
    with Output(draw) as target:
        answer = _once(engine, system, _parts(task, lang, prompt or "", history), pictures, decoding, json)
        from apograph.minicpmv import tasks

        target.write(tasks.draw(pictures[0], tasks.actions(answer)))
    return 0


def _picture(path: Path) -> Image:
    from apograph.minicpmv.image import MAX_FILE, open_picture

    try:
        if path.stat().st_size > MAX_FILE:
            raise Refusal(5, Message("minicpmv.refused.picture_size", {"limit": MAX_FILE >> 20}), str(path))
        return open_picture(path.read_bytes())
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(4, Message("run.error.unreadable", {"reason": reason}), str(path)) from None
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.message, str(path)) from None


def _decoding(mode: str, max_tokens: int, seed: int | None) -> Decoding:
    from dataclasses import replace

    from apograph.minicpmv.generate import BEAMS, GREEDY, SAMPLING

    preset = {"sample": SAMPLING, "greedy": GREEDY, "beams": BEAMS}[mode]
    return replace(preset, max_new_tokens=max_tokens, seed=seed)


def _parts(task: str | None, lang: str, prompt: str, history: list[str]) -> tuple[Any, ...]:
    from apograph.minicpmv import tasks

    return (prompt,) if task is None else tasks.parts(task, lang, prompt, history)  # type: ignore[arg-type]


def _once(
    engine: Engine, system: str, parts: tuple[Any, ...], pictures: list[Image], decoding: Decoding, json: bool
) -> str:
    from apograph.minicpmv.engine import Chat

    chat = Chat(engine, system)
    return _tell(chat, (*map(engine.picture, pictures), *parts), decoding, json)


def _tell(chat: Any, parts: tuple[Any, ...], decoding: Decoding, json: bool) -> str:
    """Stream one answer to standard output, or print it as one line of JSON."""
    import time

    from apograph.minicpmv import tasks
    from apograph.report.escape import visible

    start, first = time.monotonic(), None
    text, last = "", None
    for last in chat.ask(parts, decoding):
        first = time.monotonic() - start if first is None else first
        text += last.text
        if not json:
            # The terminal is not the model's to steer; only line breaks are its own.
            print("\n".join(map(visible, last.text.split("\n"))), end="", flush=True)
    assert last is not None  # an answer has at least one piece
    if not json:
        print()
        return text
    found = [
        {"kind": a.kind, "box": list(a.box), "text": a.text, "label": a.label} for a in tasks.actions(text)
    ]
    line = {
        "text": text,
        "finish": last.finish,
        "actions": found,
        "prompt_tokens": chat.engine.prompt_tokens,
        "reused_tokens": chat.engine.reused,
        "completion_tokens": len(last.ids),
        "seconds_to_first": round(first or 0.0, 3),
        "seconds": round(time.monotonic() - start, 3),
    }
    print(json_format.dumps(line, ensure_ascii=False), flush=True)
    return text


def _converse(engine: Engine, system: str, pictures: list[Image], decoding: Decoding, json: bool) -> int:
    """A conversation from standard input; a refused message leaves it as it was."""
    from apograph.minicpmv.engine import Chat
    from apograph.report.sentence import sentence

    chat = Chat(engine, system)
    waiting = [engine.picture(picture) for picture in pictures]
    for line in _lines():
        try:
            if line.startswith(ATTACH):
                waiting.append(engine.picture(_picture(Path(line.removeprefix(ATTACH).strip()))))
                continue
            if line.strip():
                _tell(chat, (*waiting, line), decoding, json)
                waiting = []
        except Refusal as refusal:
            print(f"{refusal.path}: " * bool(refusal.path) + sentence(refusal.message), file=sys.stderr)
    return 0


def _lines() -> Iterator[str]:
    asking = sys.stdin.isatty()
    if asking:
        print(say("run.welcome"), file=sys.stderr)
    while True:
        if asking:
            print("> ", end="", file=sys.stderr, flush=True)
        line = sys.stdin.readline()
        if not line:
            return
        yield line.rstrip("\n")
