"""``apograph perturb``: the noise control, a checkpoint plus Gaussian noise."""

from __future__ import annotations

import re
from fractions import Fraction
from typing import Annotated

import typer

from apograph.cli.options import Quiet
from apograph.findings import Message, Refusal
from apograph.report.words import say

_NUMBER = re.compile(r"[\d.]{1,20}(?:[eE][+-]?\d{1,2}|/\d{1,20})?", re.ASCII)


def perturb(
    model: Annotated[str, typer.Argument(help=say("cli.perturb.model"))],
    out: Annotated[str, typer.Option("--out", metavar="DIR", help=say("cli.perturb.out"))],
    noise: Annotated[str, typer.Option("--noise", metavar="SIGMA", help=say("cli.perturb.noise"))] = "1/708",
    seed: Annotated[int, typer.Option("--seed", metavar="S", help=say("cli.perturb.seed"))] = 0,
    reseed: Annotated[
        str, typer.Option("--reseed", metavar="per-tensor|once", help=say("cli.perturb.reseed"))
    ] = "per-tensor",
    quiet: Quiet = False,
) -> int:
    """Write the perturbed checkpoint in the types of the original."""
    from apograph.cli import EXAMINED
    from apograph.cli.checkpoint_out import beside, job, opened, planned, shown
    from apograph.release import open_release
    from apograph.release.perturbation import FLOATS, Noise, Perturbed
    from apograph.release.safetensors_writer import write_checkpoint
    from apograph.report.escape import visible

    sigma = _sigma(noise)
    if reseed not in ("per-tensor", "once") or not 0 <= seed < 1 << 64:
        raise Refusal(4, Message("cli.perturb.range"))
    drawn = Noise(sigma, seed, "per-tensor" if reseed == "per-tensor" else "once")
    release = open_release(model)
    with opened(release) as (tensors, store), shown(quiet) as progress:
        plan = planned(store)
        files = write_checkpoint(
            out,
            plan,
            Perturbed(store, drawn),
            job=job(("perturb", sigma, seed, reseed), release, tensors),
            beside=beside(release),
            check=store.check,
            progress=progress,
        )
    print(visible(out))
    changed = sum(tensor.dtype in FLOATS for tensor in plan)
    print(say("cli.perturb.done", n=changed, files=len(files), sigma=float(sigma), seed=seed))
    if changed < len(plan):
        print(say("cli.perturb.kept", n=len(plan) - changed))
    return EXAMINED


def _sigma(text: str) -> Fraction:
    """A standard deviation: a decimal number or a fraction. Raises Refusal 4 unless it is positive, at most
    1000, and both its terms fit a float32."""
    refusal = Refusal(4, Message("cli.perturb.noise_form", {"noise": text[:50]}))
    if not _NUMBER.fullmatch(text):
        raise refusal
    try:
        value = Fraction(text)
    except (ValueError, ZeroDivisionError):
        raise refusal from None
    if not 0 < value <= 1000 or value.denominator > 10**30:
        raise refusal
    return value
