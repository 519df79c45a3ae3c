"""``apograph finetune``: train a vision-language model further on conversations, and merge the result."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from apograph.cli.run import Device, Dtype, Like
from apograph.findings import Message, Refusal
from apograph.report.words import say


def finetune(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=say("cli.finetune.model"))],
    conversations: Annotated[
        Path, typer.Argument(metavar="CONVERSATIONS.json", help=say("cli.finetune.conversations"))
    ],
    out: Annotated[Path, typer.Option("--out", metavar="DIR", help=say("cli.finetune.out"))],
    steps: Annotated[int, typer.Option("--steps", min=1, help=say("cli.finetune.steps"))] = 10_000,
    rate: Annotated[float, typer.Option("--rate", min=0.0, help=say("cli.finetune.rate"))] = 1e-6,
    rank: Annotated[int, typer.Option("--rank", min=1, help=say("cli.finetune.rank"))] = 64,
    seed: Annotated[int, typer.Option("--seed", min=0, help=say("cli.finetune.seed"))] = 0,
    save_every: Annotated[
        int, typer.Option("--save-every", min=1, help=say("cli.finetune.save_every"))
    ] = 500,
    tune_vision: Annotated[bool, typer.Option("--tune-vision", help=say("cli.finetune.tune_vision"))] = False,
    merged: Annotated[
        Path | None, typer.Option("--merged", metavar="DIR", help=say("cli.finetune.merged"))
    ] = None,
    like: Like = None,
    dtype: Dtype = None,
    device: Device = None,
) -> int:
    """One line per step on standard output: its number and its loss. Started again, it goes on."""
    from apograph.minicpmv.loading import need, open_model

    need("torch", "transformers", "tokenizers", "PIL", "peft", extra="vlm")
    from apograph.minicpmv.checkpoint import TOKENIZER, open_checkpoint
    from apograph.minicpmv.examples import read_examples
    from apograph.minicpmv.finetune import Recipe, merge, train
    from apograph.minicpmv.quantise import save

    try:
        examples = read_examples(conversations)
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(4, Message("run.error.unreadable", {"reason": reason}), str(conversations)) from None
    checkpoint = open_checkpoint(model, like)
    if checkpoint.quantised:
        raise Refusal(3, Message("finetune.error.quantised"), str(model))
    tokenizer = checkpoint.tokenizer()
    loaded = open_model(checkpoint, tokenizer, None, dtype, device)
    recipe = Recipe(
        steps=steps,
        rate=rate,
        rank=rank,
        alpha=rank,
        seed=seed,
        save_every=save_every,
        tune_vision=tune_vision,
    )
    for step, loss in train(loaded, tokenizer, examples, recipe, out):
        print(f"{step} {loss:.4f}", flush=True)
    if merged is not None:
        save(merge(loaded), merged, model / TOKENIZER)
    return 0
