"""The vision tower: SigLIP-so400m in the Idefics2 ("NaViT") form, as the published code really executed it.

Two quirks of that execution are part of the model, since it was trained with them (reading "original"):

* **No mask.** All slices of all pictures of a prompt form one batch, padded on the right with zero pixels
  to the longest, and the mask that should hide the padding is all true (it was filled along the wrong
  axis). A short slice therefore attends to padding, and its embedding depends on its batch mates.
* **One-dimensional positions.** A slice is a picture one patch high and N patches wide, so only the first
  row (70 entries) of the learned 70 x 70 table is used, and patch i of a batch padded to N gets entry
  floor(70 i / N), up to float rounding that :func:`row_positions` repeats.

The other readings encode every slice on its own length: "own-mask" with one-dimensional positions, "two-d"
with the positions that the table was made for. Sources: Zhai et al. 2023 (SigLIP, arXiv 2303.15343),
Laurencon et al. 2024 (Idefics2, arXiv 2405.02246), Dehghani et al. 2023 (NaViT, arXiv 2307.06304).

Module names are those of the release below ``vpm.``.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from apograph.minicpmv.config import Config, Reading

AT_ONCE = 2  # slices encoded together
Shape = tuple[int, int]  # a slice in patches: (rows, columns)


def row_positions(n: int, side: int = 70) -> Tensor:
    """Position ids (n,) of a row of ``n`` patches: which of ``side`` equal buckets of [0, 1) holds i / n.

    The published code made the fractions with ``torch.arange`` in float32, whose rounding moves some ids by
    one for 240 of the lengths up to 1199. Its steps are repeated here, so that the ids are the same on
    every machine: whole groups of eight lanes start from a rounded base, the last partial group does not.
    """
    i = np.arange(n)
    step = np.float32(1) / np.float32(n)
    base = step * (i - i % 8).astype(np.float32)  # float32
    fractions = (base.astype(np.float64) + (i % 8) * np.float64(step)).astype(np.float32)
    tail = i >= n - n % 8
    fractions[tail] = step * i[tail].astype(np.float32)
    bounds = (np.arange(1, side) / side).astype(np.float32)
    return torch.from_numpy(np.searchsorted(bounds, fractions, side="right"))


def plane_positions(shape: Shape, side: int = 70) -> Tensor:
    """Position ids (h * w,) of a slice of (h, w) patches in the square table: row bucket * side + column
    bucket."""
    rows, columns = (row_positions(n, side) for n in shape)
    return (rows[:, None] * side + columns[None, :]).flatten()


class Embeddings(nn.Module):
    """Patches to vectors plus a learned position."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        p = config.patch_size
        self.patch_embedding = nn.Conv2d(3, config.vision_hidden_size, kernel_size=p, stride=p)
        self.position_embedding = nn.Embedding(config.position_side**2, config.vision_hidden_size)

    def forward(self, pixels: Tensor, positions: Tensor) -> Tensor:
        """pixels (B, 3, p, p * N), positions (N,) or (B, N) -> (B, N, D)"""
        x = self.patch_embedding(pixels.to(self.patch_embedding.weight.dtype))  # (B, D, 1, N)
        return x.flatten(2).transpose(1, 2) + self.position_embedding(positions)  # type: ignore[no-any-return]


class Attention(nn.Module):
    """Plain multi-head self-attention with biases; nothing is masked in any reading."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d = config.vision_hidden_size
        self.heads = config.vision_heads
        self.q_proj = nn.Linear(d, d)
        self.k_proj = nn.Linear(d, d)
        self.v_proj = nn.Linear(d, d)
        self.out_proj = nn.Linear(d, d)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)"""
        q, k, v = (
            proj(x).unflatten(-1, (self.heads, -1)).transpose(1, 2)  # (B, H, N, D / H)
            for proj in (self.q_proj, self.k_proj, self.v_proj)
        )
        y = functional.scaled_dot_product_attention(q, k, v)  # scale (D / H) ** -0.5
        return self.out_proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


def fused(x: Tensor) -> bool:
    """Whether oneDNN computes a product and its GELU in one go: bfloat16 on a CPU, nothing to train. By
    itself tanh takes as long as the product, which the matrix units compute."""
    return (
        x.device.type == "cpu"
        and x.dtype == torch.bfloat16
        and not torch.is_grad_enabled()
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )


class MLP(nn.Module):
    """Two layers with the tanh form of GELU between."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.vision_hidden_size, config.vision_intermediate_size)
        self.fc2 = nn.Linear(config.vision_intermediate_size, config.vision_hidden_size)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)"""
        if isinstance(self.fc1, nn.Linear) and fused(x):
            w, b = self.fc1.weight, self.fc1.bias
            hidden = torch.ops.mkldnn._linear_pointwise(x, w, b, "gelu", [], "tanh")
        else:
            hidden = functional.gelu(self.fc1(x), approximate="tanh")
        return self.fc2(hidden)  # type: ignore[no-any-return]


class Block(nn.Module):
    """One pre-norm transformer layer."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d = config.vision_hidden_size
        self.self_attn = Attention(config)
        self.layer_norm1 = nn.LayerNorm(d, eps=1e-6)
        self.mlp = MLP(config)
        self.layer_norm2 = nn.LayerNorm(d, eps=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)"""
        x = x + self.self_attn(self.layer_norm1(x))
        return x + self.mlp(self.layer_norm2(x))  # type: ignore[no-any-return]


class Encoder(nn.Module):
    """All layers; the release keeps the last one too."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Block(config) for _ in range(config.vision_layers))

    def forward(self, x: Tensor) -> Tensor:
        """(B, N, D) -> (B, N, D)"""
        for layer in self.layers:
            x = layer(x)
        return x


class VisionTower(nn.Module):
    """Slices to patch vectors."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config
        self.embeddings = Embeddings(config)
        self.encoder = Encoder(config)
        self.post_layernorm = nn.LayerNorm(config.vision_hidden_size, eps=1e-6)

    def forward(self, pixels: Sequence[Tensor], shapes: Sequence[Shape], reading: Reading) -> list[Tensor]:
        """pixels[i] (3, p, p * N_i), shapes[i] = (h_i, w_i), N_i = h_i * w_i -> one (N_i, D) tensor per
        slice."""
        device = self.post_layernorm.weight.device
        out: list[Tensor] = [torch.empty(0)] * len(pixels)
        for members in self._batches(shapes, reading):
            longest = max(pixels[i].shape[-1] for i in members)
            positions = self._positions([shapes[i] for i in members], longest, reading).to(device)
            # Rows of a batch do not see one another, so a few at a time give the same and cost less memory
            # (in training, where all is kept, nothing would be saved).
            step = len(members) if torch.is_grad_enabled() else AT_ONCE
            for some in (members[n : n + step] for n in range(0, len(members), step)):
                rows = [functional.pad(pixels[i], (0, longest - pixels[i].shape[-1])) for i in some]
                x = self.embeddings(torch.stack(rows).to(device), positions)  # (B, N, D)
                x = self.post_layernorm(self.encoder(x))
                for row, i in zip(x, some, strict=True):
                    out[i] = row[: shapes[i][0] * shapes[i][1]]
        return out

    def _batches(self, shapes: Sequence[Shape], reading: Reading) -> list[list[int]]:
        """Which slices are encoded together: all of them, or those of one shape (so that nothing is
        padded)."""
        if reading == "original" and self.config.batch_vision_input:
            return [list(range(len(shapes)))] if shapes else []
        same: dict[Shape, list[int]] = {}
        for i, shape in enumerate(shapes):
            same.setdefault(shape, []).append(i)
        return list(same.values())

    def _positions(self, shapes: Sequence[Shape], longest: int, reading: Reading) -> Tensor:
        side = self.config.position_side
        if reading == "two-d":
            return plane_positions(shapes[0], side)
        return row_positions(longest // self.config.patch_size, side)
