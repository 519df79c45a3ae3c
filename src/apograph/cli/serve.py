"""``apograph serve``: an OpenAI-compatible server for one vision-language model."""

from __future__ import annotations

import os
import secrets
import sys
from pathlib import Path
from typing import Annotated

import typer

from apograph.cli.run import Device, Dtype, Like, Quantise, Reading
from apograph.findings import Message, Refusal
from apograph.report.words import say

TOKEN = "APOGRAPH_TOKEN"
SHORTEST = 16


def serve(
    model: Annotated[Path, typer.Argument(metavar="MODEL", help=say("cli.run.model"))],
    host: Annotated[str, typer.Option("--host", metavar="ADDRESS", help=say("cli.serve.host"))] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=0, max=65535, help=say("cli.serve.port"))] = 8000,
    allow_host: Annotated[
        list[str], typer.Option("--allow-host", metavar="NAME", help=say("cli.serve.allow_host"))
    ] = [],  # noqa: B006 - typer copies it
    name: Annotated[str | None, typer.Option("--name", metavar="NAME", help=say("cli.serve.name"))] = None,
    waiting: Annotated[int, typer.Option("--waiting", min=0, max=1000, help=say("cli.serve.waiting"))] = 16,
    max_tokens: Annotated[int, typer.Option("--max-tokens", min=1, help=say("cli.serve.max_tokens"))] = 1024,
    like: Like = None,
    quantise: Quantise = None,
    dtype: Dtype = None,
    device: Device = None,
    reading: Reading = "original",
) -> int:
    """Serve until a signal ends it."""
    from apograph.minicpmv.loading import need, open_engine

    need("starlette", "uvicorn", extra="serve")
    token = os.environ.get(TOKEN) or secrets.token_urlsafe(32)
    if len(token) < SHORTEST or not token.isascii():
        raise Refusal(4, Message("serve.error.token", {"variable": TOKEN, "limit": SHORTEST}))
    engine = open_engine(model, like, quantise, dtype, device, reading)
    import uvicorn

    from apograph.minicpmv.server.app import Settings, make

    shown = f"[{host}]" if ":" in host else host
    known = {"127.0.0.1", "localhost", "[::1]", *map(str.lower, allow_host)}
    # An address that stands for all of them is no name that a client could have meant.
    settings = Settings(
        model=name or model.resolve().name,
        token=token,
        hosts=frozenset(known if host in ("0.0.0.0", "::") else {*known, shown.lower()}),
        waiting=waiting,
        max_tokens=max_tokens,
    )
    config = uvicorn.Config(
        make(engine, settings),
        host=host,
        port=port,
        log_level="warning",
        server_header=False,
        timeout_graceful_shutdown=int(settings.patience),
        limit_concurrency=waiting + 64,
    )
    print(say("serve.ready", url=f"http://{shown}:{port}/v1", model=settings.model), file=sys.stderr)
    if TOKEN not in os.environ:
        print(say("serve.token", token=token), file=sys.stderr, flush=True)
    uvicorn.Server(config).run()
    return 0
