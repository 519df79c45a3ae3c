"""The whole model on a small machine: random weights of the full size, quantised while streaming, one
picture.

    python benchmarks/minicpmv_full.py write FOLDER [--layers 32] [--vision-layers 27]
    python benchmarks/minicpmv_full.py run FOLDER [--kind int4] [--tokens 16]
    python benchmarks/minicpmv_full.py peer [--tokens 16]

``write`` makes shards of random bfloat16 weights (17 GB at full size) in the published layout. ``run``
loads them quantised in a fresh process, answers a prompt with a 1344 x 1344 picture (ten slices) and prints
one JSON object: peak resident memory, seconds to load, to encode the picture, to the first token and per
token, and the memory bandwidth and matrix throughput measured in the same run, with the bounds that follow
from them. ``peer`` measures the language model in transformers, bfloat16, with two and with four of its 32
layers; a layer costs half the difference, and all 32 are extrapolated.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch

from apograph.minicpmv.checkpoint import load, open_checkpoint
from apograph.minicpmv.config import Config
from apograph.minicpmv.generate import new_cache
from apograph.minicpmv.model import Model, language_model
from apograph.minicpmv.store import Source, write

SHARD = 2_500_000_000  # bytes
CHUNK = 8 << 20  # elements
PROMPT = 1000  # positions, 984 of them the picture's


def write_random(folder: Path, config: Config) -> None:
    """Random weights with the spread of trained ones (0.02), shard by shard."""
    folder.mkdir(parents=True, exist_ok=True)
    with torch.device("meta"):
        shapes = {name: tuple(p.shape) for name, p in Model(config).named_parameters()}
    shards: list[list[str]] = [[]]
    size = 0
    for name, shape in shapes.items():
        size += 2 * torch.Size(shape).numel()
        if size > SHARD:
            shards.append([])
            size = 0
        shards[-1].append(name)
    noise = (torch.randn(CHUNK + 4096, generator=torch.Generator().manual_seed(0)) * 0.02).bfloat16()

    def content(name: str) -> Iterator[torch.Tensor]:
        left, turn = torch.Size(shapes[name]).numel(), hash(name) % 4096
        flat = torch.ones(left) if "norm" in name and name.endswith("weight") else None
        while flat is None and left:
            yield noise[turn : turn + min(left, CHUNK)]
            left -= min(left, CHUNK)
            turn = (turn * 31 + 7) % 4096
        if flat is not None:
            yield flat

    index = {}
    for number, names in enumerate(shards, 1):
        file = f"model-{number:05d}-of-{len(shards):05d}.safetensors"
        sources: list[Source] = [
            (name, torch.bfloat16, shapes[name], lambda name=name: content(name)) for name in names
        ]
        write(folder / file, sources)
        index |= dict.fromkeys(names, file)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": index}))
    (folder / "config.json").write_text(json.dumps(config.to_json()))


def best(times: int, work: object) -> float:
    """The least seconds of several runs."""
    spans = []
    for _ in range(times):
        start = time.perf_counter()
        work()  # type: ignore[operator]
        spans.append(time.perf_counter() - start)
    return min(spans)


def machine() -> dict[str, float]:
    """Memory read bandwidth (GB/s) and bfloat16 matrix throughput (GFLOP/s) now."""
    numbers = torch.zeros(100_000_000, dtype=torch.float32)
    read = best(5, numbers.sum)
    a = torch.randn(2048, 4096).bfloat16()  # zeros would be faster than any real product
    product = best(5, lambda: a @ a.t())
    return {"read_gb_s": 0.4 / read, "bf16_gflop_s": 2 * 2048 * 2048 * 4096 / product / 1e9}


def resident() -> float:
    """Peak resident memory of this process in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9


def read_per_token(model: Model) -> float:
    """GB of weights that one decoded token reads: all of Llama-3 but the embedding table."""
    tensors = [*model.llm.named_parameters(), *model.llm.named_buffers()]
    return sum(t.numel() * t.element_size() for n, t in tensors if "embed_tokens" not in n) / 1e9


@torch.inference_mode()
def measure(model: Model, tokens: int) -> dict[str, float]:
    """Seconds for the picture, for the prompt and per token."""
    shapes = [(32, 32)] * 10
    pixels = [torch.rand(3, 14, 14 * 1024) * 2 - 1 for _ in shapes]
    start = time.perf_counter()
    seen = model.resampler(model.vpm(pixels, shapes, "original"), shapes)
    picture = time.perf_counter() - start
    embeds = model.embedding(torch.randint(0, 1000, (PROMPT,))).clone()
    embeds[:960] = seen.flatten(0, 1).to(embeds)
    cache, mask = new_cache(), torch.ones(1, PROMPT, dtype=torch.bool)
    start = time.perf_counter()
    ids = model(embeds[None], mask, cache, keep=1)[:, -1].argmax(-1)
    first = time.perf_counter() - start
    spans = []
    for _ in range(tokens):
        start = time.perf_counter()
        mask = torch.cat([mask, mask[:, :1]], 1)
        ids = model(model.embedding(ids)[:, None], mask, cache, keep=1)[:, -1].argmax(-1)
        spans.append(time.perf_counter() - start)
    median = sorted(spans)[len(spans) // 2]
    return {"picture_s": picture, "prompt_s": first, "token_s_median": median, "token_s_best": min(spans)}


def run(folder: Path, kind: str, tokens: int) -> None:
    """Load, answer, report."""
    from apograph.minicpmv.quantise import load_quantised, load_saved

    before = machine()
    start = time.perf_counter()
    checkpoint = open_checkpoint(folder)
    if checkpoint.quantised:
        model = load_saved(checkpoint)
    elif kind == "bf16":
        model = load(checkpoint, torch.bfloat16)
    else:
        model = load_quantised(checkpoint, kind)  # type: ignore[arg-type]
    loaded = time.perf_counter() - start
    found = {"kind": kind, "load_s": loaded, "peak_after_load_gb": resident(), **measure(model, tokens)}
    found["peak_gb"] = resident()  # before the measurement below takes memory of its own
    after = machine()
    llm = sum(p.numel() for n, p in parameters(checkpoint.config) if n.startswith("llm.model.layers"))
    gflop = 2 * llm * PROMPT / 1e9
    speed = max(before["bf16_gflop_s"], after["bf16_gflop_s"])
    bandwidth = max(before["read_gb_s"], after["read_gb_s"])
    per_token = read_per_token(model)
    found |= {
        "read_per_token_gb": per_token,
        "tokens_per_s": 1 / found["token_s_median"],
        "tokens_per_s_bound": bandwidth / per_token,
        "prompt_s_bound": gflop / speed,
        "machine_before": before,
        "machine_after": after,
        "threads": torch.get_num_threads(),
    }
    print(json.dumps(found, indent=1))


def random_llama(config: Config) -> torch.nn.Module:
    """transformers' model with random bfloat16 weights, made without ever drawing them one by one."""
    with torch.device("meta"):
        model = language_model(config)
    model = model.to(torch.bfloat16).to_empty(device="cpu").eval()
    noise = (torch.randn(CHUNK) * 0.02).bfloat16()
    for parameter in model.parameters():
        flat = parameter.data.view(-1)
        for first in range(0, len(flat), CHUNK):
            flat[first : first + CHUNK] = noise[: len(flat) - first]
    rotary = model.model.rotary_emb  # type: ignore[union-attr]
    model.model.rotary_emb = type(rotary)(rotary.config)  # type: ignore[union-attr,operator]
    return model


@torch.inference_mode()
def peer(tokens: int) -> None:
    """Llama-3-8B's shape in transformers, bfloat16: seconds per token and for the prompt."""
    before = machine()
    spans: dict[int, tuple[float, float]] = {}
    for layers in (2, 4):
        model = random_llama(replace(Config(), num_hidden_layers=layers))
        embeds = torch.randn(1, PROMPT, Config().hidden_size, dtype=torch.bfloat16) * 0.02
        cache = new_cache()
        start = time.perf_counter()
        model.model(inputs_embeds=embeds, past_key_values=cache, use_cache=True)  # type: ignore[operator,union-attr]
        prompt = time.perf_counter() - start  # without the output layer, in which it copies the whole matrix
        steps = []
        for _ in range(tokens):
            start = time.perf_counter()
            model(inputs_embeds=embeds[:, :1], past_key_values=cache, use_cache=True)
            steps.append(time.perf_counter() - start)
        spans[layers] = prompt, min(steps)
    whole = [b + (32 - 4) * (b - a) / 2 for a, b in zip(spans[2], spans[4], strict=True)]
    found = {
        "prompt_s": whole[0],
        "token_s_best": whole[1],
        "tokens_per_s": 1 / whole[1],
        "measured_s": {str(layers): list(pair) for layers, pair in spans.items()},
        "machine_before": before,
        "machine_after": machine(),
    }
    print(json.dumps(found, indent=1))


def parameters(config: Config) -> list[tuple[str, torch.Tensor]]:
    """The parameters, without memory."""
    with torch.device("meta"):
        return list(Model(config).named_parameters())


def main() -> None:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["write", "run", "peer"])
    parser.add_argument("folder", type=Path, nargs="?", default=Path("full"))
    parser.add_argument("--layers", type=int, default=32)
    parser.add_argument("--vision-layers", type=int, default=27)
    parser.add_argument("--kind", default="int4", choices=["int4", "int8", "nf4", "bf16"])
    parser.add_argument("--tokens", type=int, default=16)
    given = parser.parse_args()
    if given.what == "write":
        config = replace(Config(), num_hidden_layers=given.layers, vision_layers=given.vision_layers)
        write_random(given.folder, config)
    elif given.what == "peer":
        peer(given.tokens)
    else:
        run(given.folder, given.kind, given.tokens)


if __name__ == "__main__":
    main()
