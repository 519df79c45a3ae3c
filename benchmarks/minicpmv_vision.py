"""Seconds to encode a slice of 1024 patches: bfloat16 against float32 with explicit attention, and the bound.

    python benchmarks/minicpmv_vision.py [--layers 27]

The tower has the full width and random weights; the resampler is included. The bound is the arithmetic of
the tower divided by the bfloat16 matrix throughput that is measured in the same run. Prints one JSON
object.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import replace

import torch
from torch import Tensor, nn

from apograph.minicpmv import vision
from apograph.minicpmv.config import Config
from apograph.minicpmv.resampler import Resampler
from apograph.minicpmv.vision import VisionTower

SHAPE = (32, 32)


def explicit(q: Tensor, k: Tensor, v: Tensor, attn_mask: Tensor | None = None) -> Tensor:
    """Attention with the whole score matrix in memory, as "eager" implementations do it."""
    scores = q @ k.transpose(-2, -1) * q.shape[-1] ** -0.5
    if attn_mask is not None:
        scores = scores.masked_fill(~attn_mask, -torch.inf)
    return scores.softmax(-1) @ v


def modules(config: Config, dtype: torch.dtype) -> tuple[VisionTower, Resampler]:
    """Tower and resampler with random weights."""
    tower, resampler = VisionTower(config), Resampler(config)
    for module in (tower, resampler):
        for parameter in module.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)
    return tower.to(dtype).eval(), resampler.to(dtype).eval()


def seconds(tower: VisionTower, resampler: Resampler, slices: int, times: int) -> float:
    """The least wall time of ``times`` runs over ``slices`` slices."""
    pixels = [torch.rand(3, 14, 14 * 1024) * 2 - 1 for _ in range(slices)]
    shapes = [SHAPE] * slices
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        resampler(tower(pixels, shapes, "original"), shapes)
        spans.append(time.perf_counter() - start)
    return min(spans)


def gflop(config: Config) -> float:
    """Arithmetic of one slice in the tower: projections, feed-forward and attention."""
    n, d = 1024, config.vision_hidden_size
    layer = 2 * n * (4 * d * d + 2 * d * config.vision_intermediate_size) + 4 * n * n * d
    return config.vision_layers * layer / 1e9


def throughput() -> float:
    """bfloat16 GFLOP/s of a large product."""
    a = torch.randn(2048, 4096).bfloat16()
    spans = []
    for _ in range(8):
        start = time.perf_counter()
        a @ a.t()
        spans.append(time.perf_counter() - start)
    return 2 * 2048 * 2048 * 4096 / min(spans) / 1e9


@torch.inference_mode()
def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", type=int, default=27)
    config = replace(Config(), vision_layers=parser.parse_args().layers)
    speed = throughput()
    fast = modules(config, torch.bfloat16)
    one = seconds(*fast, slices=1, times=3)
    two = seconds(*fast, slices=2, times=2) / 2
    speed = max(speed, throughput())
    del fast
    sdpa = vision.functional.scaled_dot_product_attention
    vision.functional.scaled_dot_product_attention = explicit  # type: ignore[assignment]
    slow = seconds(*modules(config, torch.float32), slices=1, times=2)
    vision.functional.scaled_dot_product_attention = sdpa
    work = gflop(config)
    found = {
        "layers": config.vision_layers,
        "gflop_per_slice": round(work, 1),
        "bf16_gflop_s_measured": round(speed, 1),
        "bound_s": round(work / speed, 3),
        "bf16_one_slice_s": round(one, 3),
        "bf16_per_slice_of_two_s": round(two, 3),
        "float32_explicit_s": round(slow, 3),
        "times_float32": round(slow / min(one, two), 2),
        "part_of_bound": round(work / speed / min(one, two), 3),
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
