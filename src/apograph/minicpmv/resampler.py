"""The resampler: one cross-attention layer that reads any number of patch vectors into a fixed number of
queries.

Source: the Perceiver resampler of Flamingo (Alayrac et al. 2022, arXiv 2204.14198) reduced to one layer, as
in Qwen-VL (Bai et al. 2023, arXiv 2308.12966), with the positions of each slice's own (rows, columns) grid.
Here the padding of short slices *is* masked, in the published code as well. Module names are those below
``resampler.``.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn import functional

from apograph.minicpmv.config import Config


@lru_cache(maxsize=64)
def sincos_positions(dim: int, rows: int, columns: int) -> Tensor:
    """(rows, columns, dim) float32: sin and cos of the column in the first half, of the row in the second.

    Frequencies 10000 ** (-j / (dim / 4)), j < dim / 4 (Vaswani et al. 2017, section 3.5, in two dimensions).
    """
    with torch.inference_mode(False):  # it is kept, and training may want it later
        quarter = dim // 4
        omega = torch.arange(quarter, dtype=torch.float32) / quarter
        omega = 1.0 / 10000**omega  # (dim / 4,)
        x, y = (torch.arange(n, dtype=torch.float32)[:, None] * omega for n in (columns, rows))
        across = torch.cat([x.sin(), x.cos()], dim=-1)  # (columns, dim / 2)
        down = torch.cat([y.sin(), y.cos()], dim=-1)  # (rows, dim / 2)
        return torch.cat(
            [across[None].expand(rows, -1, -1), down[:, None].expand(-1, columns, -1)], dim=-1
        ).contiguous()


AT_ONCE = 2  # slices read together


class CrossAttention(nn.Module):
    """Multi-head attention with the query, key and value projections stacked in one matrix."""

    def __init__(self, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj_weight = nn.Parameter(torch.empty(3 * dim, dim))
        self.in_proj_bias = nn.Parameter(torch.zeros(3 * dim))
        self.out_proj = nn.Linear(dim, dim)

    def forward(self, q: Tensor, k: Tensor, v: Tensor, mask: Tensor) -> Tensor:
        """q (Q, D), k and v (B, N, D), mask (B, N) true where a patch may be seen -> (B, Q, D)"""
        split = (self.heads, -1)
        weights, biases = self.in_proj_weight.chunk(3), self.in_proj_bias.chunk(3)
        q, k, v = (
            functional.linear(x, w, b).reshape(*x.shape[:-1], *split).transpose(-3, -2)
            for x, w, b in zip((q, k, v), weights, biases, strict=True)
        )  # q (H, Q, D / H); k, v (B, H, N, D / H)
        q = q.expand(len(k), -1, -1, -1)
        y = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask[:, None, None, :])
        return self.out_proj(y.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]


class Resampler(nn.Module):
    """Patch vectors of each slice to ``query_num`` vectors of the language model's width."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        d = config.hidden_size
        self.query = nn.Parameter(torch.empty(config.query_num, d))
        self.kv_proj = nn.Linear(config.vision_hidden_size, d, bias=False)
        self.attn = CrossAttention(d, config.resampler_heads)
        self.ln_q = nn.LayerNorm(d, eps=1e-6)
        self.ln_kv = nn.LayerNorm(d, eps=1e-6)
        self.ln_post = nn.LayerNorm(d, eps=1e-6)
        self.proj = nn.Parameter(torch.empty(d, d))

    def forward(self, patches: Sequence[Tensor], shapes: Sequence[tuple[int, int]]) -> Tensor:
        """patches[i] (N_i, W), shapes[i] = (h_i, w_i) -> (B, query_num, D)"""
        # Slices do not see one another, so a few at a time give the same and cost less memory (in training,
        # where all is kept, nothing would be saved).
        step = max(len(patches), 1) if torch.is_grad_enabled() else AT_ONCE
        starts = range(0, len(patches), step)
        return torch.cat([self._read(patches[n : n + step], shapes[n : n + step]) for n in starts])

    def _read(self, patches: Sequence[Tensor], shapes: Sequence[tuple[int, int]]) -> Tensor:
        x = nn.utils.rnn.pad_sequence(list(patches), batch_first=True)  # (B, N, W)
        x = x.to(self.kv_proj.weight.dtype)
        mask = torch.zeros(x.shape[:2], dtype=torch.bool, device=x.device)
        positions = x.new_zeros((*x.shape[:2], self.query.shape[-1]))
        for i, (h, w) in enumerate(shapes):
            mask[i, : h * w] = True
            positions[i, : h * w] = sincos_positions(self.query.shape[-1], h, w).flatten(0, 1).to(x)
        kv = self.ln_kv(self.kv_proj(x))  # (B, N, D)
        y = self.attn(self.ln_q(self.query), kv + positions, kv, mask)  # positions on keys, not on values
        return self.ln_post(y) @ self.proj  # type: ignore[no-any-return]
