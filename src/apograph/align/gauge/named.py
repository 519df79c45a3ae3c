"""The roles of tensors as their names tell them: a second opinion beside the role graph.

Content alone cannot always tell k from v or gate from up. Names can lie; a wrong role only means that nothing
is found.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise

from apograph.align.modules import Head, geometries
from apograph.align.role_views import plain_shape, view_shape
from apograph.align.roles import Attention, Block, Mlp, Norm, Roles, Tower, View
from apograph.findings import Json
from apograph.release.tensor_store import TensorStore

_LAYER = re.compile(r"(.*?(?:^|\.))(\d+)\.(.+)\.weight")
_PARTS = {
    "q": r"q_proj|wq|attn_q|query|q",
    "k": r"k_proj|wk|attn_k|key|k",
    "v": r"v_proj|wv|attn_v|value|v",
    "qkv": r"qkv_proj|attn_qkv|c_attn|in_proj|qkv|Wqkv",
    "o": r"o_proj|wo|attn_output|out_proj|(?:attn|attention)\.(?:c_proj|proj|output\.dense|dense)|o",
    "gate": r"gate_proj|w1|ffn_gate|wi_0",
    "up": r"up_proj|w3|ffn_up|wi_1|c_fc|fc1|intermediate\.dense|dense_h_to_4h|wi",
    "gate_up": r"gate_up_proj",
    "down": r"down_proj|w2|ffn_down|fc2|mlp\.c_proj|dense_4h_to_h|(?<!attention\.)output\.dense",
    "first": r"input_layernorm|attention_norm|attn_norm|ln_1|layer_norm1|norm1|layernorm_before",
    "second": r"post_attention_layernorm|ffn_norm|ln_2|layer_norm2|norm2|layernorm_after",
    "router": r"(?:moe|mlp|feed_forward)\.gate|router|ffn_gate_inp",
}
_KNOWN = {role: re.compile(rf"(?:(.*)\.)?(?:{names})") for role, names in _PARTS.items()}
_NORMS = ("first", "second")
_EMBEDDING = re.compile(r"(^|\.)(embed_tokens|wte|word_embeddings|tok_embeddings|token_embd)\.weight$")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out)\.weight$|^output\.weight$")
_PATCHES = re.compile(r"(^|\.)patch_embed[^.]*(\.proj(ection)?)?\.weight$")
_POSITIONS = re.compile(r"(^|\.)(wpe|position_embeddings?)\.weight$")
_LAST = re.compile(r"(^|\.)(norm|ln_f|output_norm|post_layernorm|final_layer_norm)\.weight$")
Layer = dict[str, dict[str, str]]
"""Names by role and by the path before them."""


def named_roles(store: TensorStore, config: Mapping[str, Json]) -> Roles:
    """Towers of layers whose names are known; no tower where none are. ``config`` gives the heads."""
    towers: dict[str, dict[int, Layer]] = defaultdict(dict)
    for name, info in store.infos.items():
        match = _LAYER.fullmatch(name)
        shape = info.shape or ()
        axes = 0 if 0 in shape else len(plain_shape(shape))
        for role, known in _KNOWN.items() if match and axes else ():
            found = known.fullmatch(match[3]) if match else None
            if match and found and axes == (1 if role in _NORMS else 2):
                layer = towers[match[1]].setdefault(int(match[2]), defaultdict(dict))
                layer[role][found[1] or ""] = name
    heads = geometries(config)
    if isinstance(config.get("n_head"), int) and isinstance(config.get("n_embd"), int):
        count, width = int(str(config["n_head"])), int(str(config["n_embd"]))
        heads.append(Head(count, count, width // count))
    made = [
        tower
        for prefix, layers in towers.items()
        if (tower := _tower(store, prefix, [layers[n] for n in sorted(layers)], heads)) is not None
    ]
    return Roles(tuple(made))


def output_layer(store: TensorStore) -> str | None:
    """The matrix (tokens, width) that makes a language model's logits, by its name: the output layer, or the
    embedding where the two are one."""
    for known in (_HEAD, _EMBEDDING):
        for name, info in store.infos.items():
            if known.search(name) and len(info.shape or ()) == 2 and not _LAYER.match(name):
                return name
    return None


def _tower(store: TensorStore, prefix: str, layers: list[Layer], heads: list[Head]) -> Tower | None:
    blocks = [_block(store, f"{prefix}{n}", layer, heads) for n, layer in enumerate(layers)]
    kept = tuple(b for b in blocks if b.attention is not None or b.mlps)
    if not kept:
        return None
    first = kept[0]
    reader = first.attention.q if first.attention is not None else first.mlps[0].up
    width = view_shape(store, reader)[1]

    def table(known: re.Pattern[str], axes: int = 2) -> View | None:
        for name, info in store.infos.items():
            shape = info.shape or ()
            if known.search(name) and len(shape) == axes and shape[-1] == width and not _LAYER.match(name):
                return View(name)
        return None

    embedding, last = table(_EMBEDDING), table(_LAST, 1)
    return Tower(
        prefix.rstrip("."),
        "decoder" if embedding is not None else "encoder",
        width,
        kept,
        embedding,
        table(_HEAD) or embedding,
        table(_POSITIONS),
        Norm(last) if last is not None else None,
        tuple(
            View(name)
            for name, info in store.infos.items()
            if embedding is None and _PATCHES.search(name) and (info.shape or (0,))[0] == width
        ),
    )


def _block(store: TensorStore, label: str, layer: Layer, heads: list[Head]) -> Block:
    attention, mlps = _attention(store, layer, heads), tuple(_mlps(store, layer))
    norms = [_one(layer, role) for role in _NORMS]
    reader = attention.q if attention is not None else mlps[0].up if mlps else None
    width = view_shape(store, reader)[1:] if reader is not None else ()
    fitting = (n if n is not None and store.infos[n].shape == width else None for n in norms)
    first, second = (None if name is None else Norm(View(name)) for name in fitting)
    router = _one(layer, "router")
    return Block(
        label,
        attention,
        mlps,
        None if router is None else View(router),
        first,
        second or first,
        tuple(n for n in (first, second) if n is not None),
    )


def _one(layer: Layer, role: str) -> str | None:
    names = layer.get(role, {})
    return next(iter(names.values())) if len(names) == 1 else None


def _attention(store: TensorStore, layer: Layer, heads: list[Head]) -> Attention | None:
    names = {role: _one(layer, role) for role in ("q", "k", "v", "o", "qkv")}
    if names["o"] is None:
        return None
    if names["qkv"] is not None:
        turned = names["qkv"].endswith("c_attn.weight")
        whole = View(names["qkv"], turned=turned)
        rows = view_shape(store, whole)[0]
        head = next((h for h in heads if (h.heads + 2 * h.groups) * h.size == rows), None)
        if head is None:
            return None
        cuts = [0, head.heads * head.size, (head.heads + head.groups) * head.size, rows]
        q, k, v = (replace(whole, start=a, stop=b) for a, b in pairwise(cuts))
        o = View(names["o"], turned=turned)
    elif names["q"] is not None and names["k"] is not None and names["v"] is not None:
        q, k, v, o = (View(str(names[role])) for role in "qkvo")
        inner, narrow = view_shape(store, q)[0], view_shape(store, k)[0]
        fits = (h for h in heads if (h.heads * h.size, h.groups * h.size) == (inner, narrow))
        head = next(fits, None)
    else:
        return None
    (_, into), keys, values, (_, inner) = (view_shape(store, x) for x in (q, k, v, o))
    if head is None or keys != values or keys[1] != into or inner != head.heads * head.size:
        return None
    return Attention(q, k, v, o, head.heads, head.groups, head.size)


def _mlps(store: TensorStore, layer: Layer) -> list[Mlp]:
    found = []
    for path, down in layer.get("down", {}).items():
        turned = down.endswith("c_proj.weight")
        up, gate, both = (layer.get(role, {}).get(path) for role in ("up", "gate", "gate_up"))
        ups, downs = layer.get("up", {}), layer["down"]
        if both is not None:
            half = view_shape(store, View(both))[0] // 2
            mlp = Mlp(View(both, half), View(down), View(both, 0, half))
        elif up is not None or len(ups) == len(downs) == 1:
            up = up or next(iter(ups.values()))
            mlp = Mlp(View(up, turned=turned), View(down, turned=turned), View(gate) if gate else None)
        else:
            continue
        wide = view_shape(store, mlp.up)
        if view_shape(store, mlp.down)[1] == wide[0] and view_shape(store, mlp.gate or mlp.up) == wide:
            found.append(mlp)
    return found
