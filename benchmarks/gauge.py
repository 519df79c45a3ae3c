"""How fast, in how much memory and how rightly the gauge of a disguised copy is recovered.

A random bfloat16 checkpoint in Llama's shapes is written into DIR with a copy of it whose hidden units,
heads, signs and rotary planes, and with --rotate also the residual stream, were changed without changing an
answer. Both are kept, read once to warm the cache, and the map is recovered in a process of its own.

    python benchmarks/gauge.py DIR [--hidden 2048 --inner 5632 --heads 32 --groups 8]
                                   [--vocabulary 32000] [--layers 4] [--rotate] [--pass]

The table has the seconds of every stage, and what each layer of the copy adds to them. With --pass the sums
of the aligned examination are made too, as ``compare`` does it behind a disguise.
"""

from __future__ import annotations

import argparse
import functools
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apograph.release.tensor_store import TensorStore, open_store
from compare_weights import Shapes, read_once, write

Array: TypeAlias = NDArray[Any]
PARTS = (*(f"self_attn.{p}_proj" for p in "qkvo"), *(f"mlp.{p}_proj" for p in ("gate", "up", "down")))
STAGES = {
    "_stream": "residual stream",
    "layer_pairs": "pairs of layers",
    "_sketches": "sketches of the matrices",
    "unit_map": "units",
    "_into": "k and v",
    "heads_map": "heads",
}
"""Functions of ``recover`` whose seconds are told apart."""


def disguise(folder: Path, copy: Path, shapes: Shapes, rotate: bool) -> None:
    """Write the copy of ``folder`` and, beside it, the truth; kept where they are there."""
    if (copy / "config.json").exists():
        return
    copy.mkdir(parents=True, exist_ok=True)
    random, store = np.random.default_rng(7), open_store(folder)
    truth: dict[str, Array] = {}
    turn = None
    if rotate:
        turn = np.linalg.qr(random.standard_normal((shapes.hidden, shapes.hidden)))[0].astype(np.float32)
        truth["turn"] = turn
    layers = sorted({int(n.split(".")[2]) for n in store.infos if ".layers." in n})
    for n in layers:
        values = [whole(store, f"model.layers.{n}.{p}.weight") for p in PARTS]
        if turn is not None:
            values = [turn.T @ v if i in (3, 6) else v @ turn for i, v in enumerate(values)]
        made, truth[f"units.{n}"], truth[f"heads.{n}"] = _layer(values, shapes, random)
        names = (f"model.layers.{n}.{p}.weight" for p in PARTS)
        _save(copy / f"layer-{n:02}.safetensors", dict(zip(names, made, strict=True)))
    for name in (n for n in store.infos if ".layers." not in n):
        table = whole(store, name)
        _save(copy / f"{name}.safetensors", {name: table if turn is None else table @ turn})
    np.savez(copy / "truth.npz", **truth)
    (copy / "config.json").write_text((folder / "config.json").read_text())


def whole(store: TensorStore, name: str) -> Array:
    """[rows, columns] in float32."""
    shape = store.infos[name].shape or ()
    return store.block(name, 0, int(np.prod(shape))).reshape(shape)


def _layer(
    values: list[Array], shapes: Shapes, random: np.random.Generator
) -> tuple[list[Array], Array, Array]:
    """q, k, v, o, gate, up, down disguised; the parent's place of every unit and of every key/value head."""
    q, k, v, o, gate, up, down = values
    units, signs = random.permutation(shapes.inner), random.choice([-1, 1], shapes.inner).astype(np.float32)
    groups, shared = random.permutation(shapes.groups), shapes.heads // shapes.groups
    heads = (groups[:, None] * shared + np.arange(shared)).reshape(-1)
    size = shapes.hidden // shapes.heads
    angle = random.uniform(0, 6.3, (shapes.groups, size // 2))
    q, k, v, o = (
        m.reshape(-1, size, shapes.hidden)[places]
        for m, places in ((q, heads), (k, groups), (v, groups), (np.ascontiguousarray(o.T), heads))
    )
    q, k = _turned(q, np.repeat(angle, shared, axis=0)), _turned(k, angle)
    flat = [m.reshape(-1, shapes.hidden) for m in (q, k, v, o)]
    mlp = [gate[units], up[units] * signs[:, None], down[:, units] * signs]
    return [*flat[:3], flat[3].T, *mlp], units, groups


def _turned(x: Array, angle: Array) -> Array:
    """Each rotary plane of each head turned, [heads, size, width]."""
    cos, sin = (f(angle).astype(np.float32)[:, :, None] for f in (np.cos, np.sin))
    one, two = np.split(x, 2, axis=1)
    return np.concatenate([cos * one - sin * two, sin * one + cos * two], axis=1)


def _save(path: Path, tensors: dict[str, Array]) -> None:
    """Rounded to bfloat16, halves up."""
    header: dict[str, Any] = {}
    at = 0
    for name, value in tensors.items():
        header[name] = {"dtype": "BF16", "shape": value.shape, "data_offsets": [at, at + 2 * value.size]}
        at += 2 * value.size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for value in tensors.values():
            for rows in np.array_split(value, max(len(value) // 2048, 1)):
                bits = np.ascontiguousarray(rows, np.float32).view(np.uint32)
                ((bits + 0x8000) >> 16).astype(np.uint16).tofile(file)


def recovery(folders: list[Path], swept: bool) -> dict[str, Any]:
    """In a process of its own: seconds of the stages, peak bytes, what was recovered."""
    from apograph.align.gauge import AlignedStore, recover
    from apograph.align.gauge.named import named_roles
    from apograph.align.tensors import Match, Part
    from apograph.evidence.gauge_judge import judged
    from apograph.evidence.stream import stream

    module = sys.modules["apograph.align.gauge.recover"]
    stores = open_store(folders[0]), open_store(folders[1])
    config = json.loads((folders[0] / "config.json").read_text())
    seconds: dict[str, float] = {}
    for name, label in STAGES.items():
        owner = module if hasattr(module, name) else module._Towers
        setattr(owner, name, _timed(label, getattr(owner, name), seconds))
    start = time.perf_counter()
    gauge = recover(*stores, named_roles(stores[0], config), named_roles(stores[1], config))
    seconds["recovered"], memory = time.perf_counter() - start, {"recovered": _peak()}
    verdict = _timed("judged", judged, seconds)(gauge, stores)
    memory["judged"] = _peak()
    aligned = AlignedStore(gauge, *stores, verdict.counts)
    if swept:
        matches = [Match(Part(n), Part(n), "permuted", 1.0) for n in aligned.infos]
        _timed("the pass behind the disguise", stream, seconds)(matches, stores[0], aligned)
        memory["pass"] = _peak()
    told = {"modules that count": [len(verdict.counts), len(gauge.modules)]}
    told |= _right(gauge, np.load(folders[1] / "truth.npz"))
    told["least correlation of some rows"] = min(_alike(stores[0], aligned, n) for n in aligned.infos)
    told["tensors carried over"] = [len(aligned.infos), len(stores[0].infos)]
    return {"seconds": seconds, "memory": memory, "told": told}


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def _timed(label: str, function: Callable[..., Any], seconds: dict[str, float]) -> Callable[..., Any]:
    @functools.wraps(function)
    def run(*args: Any, **named: Any) -> Any:
        start = time.perf_counter()
        try:
            return function(*args, **named)
        finally:
            seconds[label] = seconds.get(label, 0.0) + time.perf_counter() - start

    return run


def _right(gauge: Any, truth: Any) -> dict[str, Any]:
    """Places told rightly, of all; the distance of the rotation from the true one, relative to its length."""
    right = {"units": [0, 0], "heads": [0, 0]}
    for piece in gauge.pieces:
        at = piece.reference.name
        kind = "units" if at.endswith("up_proj.weight") else "heads" if at.endswith("k_proj.weight") else None
        if kind is None:
            continue
        true, index = truth[f"{kind}.{at.split('.')[2]}"], piece.out.index
        index = index[:: len(index) // len(true)] // (len(index) // len(true))
        right[kind][0] += int((true[index] == np.arange(len(true))).sum())
        right[kind][1] += len(true)
    found: dict[str, Any] = dict(right)
    if "turn" in truth and gauge.streams[0].axis.mix is not None:
        turn = truth["turn"]
        off = np.linalg.norm(gauge.streams[0].axis.mix[0] - turn.T) / np.linalg.norm(turn)
        found["error of the rotation"] = float(off)
    return found


def _alike(reference: TensorStore, aligned: TensorStore, name: str) -> float:
    count = min(1 << 16, int(np.prod(reference.infos[name].shape or ())))
    return float(np.corrcoef(reference.block(name, 0, count), aligned.block(name, 0, count))[0, 1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    sizes = {"hidden": 2048, "inner": 5632, "heads": 32, "groups": 8, "vocabulary": 32000, "layers": 4}
    for name, value in sizes.items():
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--rotate", action="store_true", help="turn the residual stream as well")
    parser.add_argument("--pass", dest="swept", action="store_true", help="make the aligned sums too")
    parser.add_argument("--step", choices=("write", "run"), help=argparse.SUPPRESS)
    o = parser.parse_args()
    shapes = Shapes(o.hidden, o.inner, o.heads, o.groups, o.vocabulary, False)
    keys = o.hidden // o.heads * o.groups
    layer = 2 * o.hidden * (2 * o.hidden + 2 * keys + 3 * o.inner)
    folder = o.folder / "-".join(str(getattr(o, name)) for name in sizes)
    folders = [folder / "reference", folder / ("rotated" if o.rotate else "copy")]
    if o.step == "run":
        print(json.dumps(recovery(folders, o.swept)))
        return
    if o.step == "write":
        write(folders[0], shapes, 2 * o.vocabulary * o.hidden + o.layers * layer, 0)
        disguise(*folders, shapes, o.rotate)
        return
    # Processes of their own: the peak of one is counted for those that it starts.
    command = [sys.executable, __file__, *sys.argv[1:], "--step"]
    subprocess.run([*command, "write"], check=True)
    reading = min(read_once(folders) for _ in range(2))
    made = json.loads(subprocess.run([*command, "run"], check=True, capture_output=True, text=True).stdout)
    print("| | seconds | for each layer |\n|---|---|---|")
    print(f"| reading both (cat) | {reading:.2f} | {reading / o.layers:.2f} |")
    for label, seconds in made["seconds"].items():
        per = "" if label in ("residual stream", "judged") else f"{seconds / o.layers:.2f}"
        print(f"| {label} | {seconds:.2f} | {per} |")
    print("\npeak MB: " + ", ".join(f"{k} {v / 1e6:.0f}" for k, v in made["memory"].items()))
    print("\n".join(f"{label}: {value}" for label, value in made["told"].items()))


if __name__ == "__main__":
    main()
