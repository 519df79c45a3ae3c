"""Changes of what there is: units, layers, tokens and experts dropped, repeated, added."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

from apograph.lab.derive import Manipulation, Work, copied
from apograph.lab.layout import number, read, tower_of

_LAYER = re.compile(r"^(.*\.(?:layers|h|layer)\.)(\d+)(\..*)$")


def layers_chosen(work: Work, layers: Sequence[int]) -> None:
    """Layer i of the child is layer ``layers[i]`` of the parent: dropped, reordered or repeated."""
    weights = {}
    for name, array in work.model.weights.items():
        found = _LAYER.match(name)
        if found is None:
            weights[name] = array
        else:
            for i, layer in enumerate(layers):
                if layer == int(found[2]):
                    weights[f"{found[1]}{i}{found[3]}"] = array.copy()
    key = "n_layer" if "n_layer" in work.model.config else "num_hidden_layers"
    work.layers_moved(np.asarray(layers))
    work.model = work.model.using(weights, **{key: len(layers)})


def width_pruned(work: Work, share: float = 0.25) -> None:
    """The ``share`` of hidden units of the least product of norms taken out of every MLP (after Minitron,
    arXiv 2407.14679, with weights in place of activations). Llama-like only."""
    weights, tower = copied(work.model.weights), tower_of(work.model)
    kept = 0
    for n, block in enumerate(tower.blocks):
        mlp = block.mlps[0]
        assert mlp.gate is not None
        gate, up, down = (read(weights, v) for v in (mlp.gate, mlp.up, mlp.down))
        weight = np.linalg.norm(up, axis=1) * np.linalg.norm(down, axis=0)
        kept = round(len(up) * (1 - share))
        order = np.sort(np.argsort(-weight, kind="stable")[:kept])
        weights[mlp.gate.name], weights[mlp.up.name] = gate[order], up[order]
        weights[mlp.down.name] = down[:, order]
        work.moved(f"units.{n}", order)
    work.model = work.model.using(weights, intermediate_size=kept)


def vocabulary_extended(work: Work, added: int = 32) -> None:
    """New rows in embeddings and head, near the mean row, and as many new tokens."""
    weights, tower = copied(work.model.weights), tower_of(work.model)
    size = number(work.model.config, "vocab_size")
    for view in {tower.embedding, tower.head}:
        assert view is not None
        rows = weights[view.name]
        fresh = work.random.standard_normal((added, rows.shape[1])) * rows.std() + rows.mean(axis=0)
        weights[view.name] = np.concatenate([rows, fresh.astype(np.float32)])
    if "cls.predictions.bias" in weights:
        bias = weights["cls.predictions.bias"]
        weights["cls.predictions.bias"] = np.concatenate([bias, np.zeros(added, np.float32)])
    work.moved("tokens", np.concatenate([np.arange(size), np.full(added, -1)]))
    model = work.model.using(weights, vocab_size=size + added)
    if model.tokenizer:
        tokenizer = json.loads(model.tokenizer)
        flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
        tokenizer["added_tokens"] += [
            {"id": size + n, "content": f"<new_{n}>", "special": True, **flags} for n in range(added)
        ]
        model = replace(model, tokenizer=json.dumps(tokenizer))
    work.model = model


def upcycled(work: Work, experts: int = 4, sigma: float = 0.0) -> None:
    """Every MLP ``experts`` times as the experts of a Mixtral (Komatsuzaki et al., arXiv 2212.05055), with
    noise of ``sigma`` times each matrix's standard deviation; routers are new. Llama-like only."""
    weights = {}
    for name, array in work.model.weights.items():
        found = re.match(r"^(.*)\.mlp\.(gate|up|down)_proj\.weight$", name)
        if found is None:
            weights[name] = array.copy()
            continue
        moe = f"{found[1]}.block_sparse_moe"
        part = {"gate": "w1", "up": "w3", "down": "w2"}[found[2]]
        if part == "w1":
            router = work.random.standard_normal((experts, array.shape[1])) * 0.02
            weights[f"{moe}.gate.weight"] = router.astype(np.float32)
        for n in range(experts):
            change = sigma * array.std() * work.random.standard_normal(array.shape)
            weights[f"{moe}.experts.{n}.{part}.weight"] = (array + change).astype(np.float32)
    fields = {"num_local_experts": experts, "num_experts_per_tok": 2}
    described = {"model_type": "mixtral", "architectures": ["MixtralForCausalLM"]}
    work.model = work.model.using(weights, **fields, **described)


MANIPULATIONS: Mapping[str, Manipulation] = {
    "layers chosen": layers_chosen,
    "width pruned": width_pruned,
    "vocabulary extended": vocabulary_extended,
    "upcycled": upcycled,
}
