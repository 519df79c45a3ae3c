"""Weight-only int8 and int4 linear layers: PyTorch's packed CPU kernels for decoding, a matrix product for
prompts.

Decoding reads every weight once per token, so its speed is memory bandwidth; the packed kernels
(``_weight_int8pack_mm``, ``_weight_int4pack_mm_for_cpu``) read 1 and 0.56 bytes per weight. They compute
row by row, which is slow for many rows: from ``KERNEL_ROWS`` rows on, blocks of weights are expanded to
bfloat16 instead and multiplied by the matrix units.

Quantisation is round to nearest: int8 with one scale per output row, int4 with a scale and an offset per
group of 64 inputs (asymmetric, minimum to maximum). On other devices than the CPU, and on processors
without AVX-512 (whose int4 layout :func:`native_int4` checks), every product goes through expanded blocks.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import torch
from torch import Tensor, nn

GROUP = 64
KERNEL_ROWS = 8
BLOCK = 256  # output rows expanded at a time
LANE = 64  # output rows that the int4 kernel keeps together


class Int8Linear(nn.Module):
    """y = (x @ W^T) * scale, W (N, K) int8, scale (N,)."""

    kind = "int8"

    def __init__(self, weight: Tensor, scale: Tensor) -> None:
        super().__init__()
        self.weight: Tensor
        self.scale: Tensor
        self.register_buffer("weight", weight)
        self.register_buffer("scale", scale)

    @classmethod
    def quantise(
        cls, pieces: Iterator[tuple[int, Tensor]], shape: tuple[int, int], device: str
    ) -> Int8Linear:
        """From a weight of ``shape`` (N, K) in pieces: first row, rows (n, K) of any floating type."""
        weight = torch.empty(shape, dtype=torch.int8, device=device)
        scale = torch.empty(shape[0], dtype=torch.bfloat16, device=device)
        for first, rows in pieces:
            rows = rows.to(device).float()
            at = slice(first, first + len(rows))
            scale[at] = (rows.abs().amax(-1) / 127).clamp(min=1e-12)
            weight[at] = (rows / scale[at].float()[:, None]).round().clamp(-127, 127)
        return cls(weight, scale)

    def parts(self) -> dict[str, Tensor]:
        """What is saved, by the suffix of the weight's name."""
        return {"int8": self.weight, "scale": self.scale}

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)"""
        flat = x.reshape(-1, x.shape[-1])
        if flat.device.type == "cpu" and len(flat) <= KERNEL_ROWS:
            y = torch._weight_int8pack_mm(flat.bfloat16(), self.weight, self.scale).to(x.dtype)
        else:
            y = flat.new_empty(len(flat), len(self.weight))
            for first in range(0, len(self.weight), BLOCK):
                at = slice(first, first + BLOCK)
                y[:, at] = (flat @ self.weight[at].to(x.dtype).t()) * self.scale[at].to(x.dtype)
        return y.reshape(*x.shape[:-1], -1)


class Int4Linear(nn.Module):
    """y = x @ W^T, W = (q - 8) * scale + offset per group of 64 inputs, q in 0 ... 15.

    ``weight`` is (N, K / 2) bytes: the low half of a byte is the even column. ``steps`` is (K / 64, N, 2):
    scale and offset. Where the CPU kernel is used, ``weight`` holds the kernel's own order instead.
    """

    kind = "int4"

    def __init__(self, weight: Tensor, steps: Tensor) -> None:
        super().__init__()
        self.native = weight.device.type == "cpu" and len(weight) % LANE == 0 and native_int4()
        self.weight: Tensor
        self.steps: Tensor
        self.register_buffer("weight", _to_kernel(weight) if self.native else weight)
        self.register_buffer("steps", steps)

    @classmethod
    def quantise(
        cls, pieces: Iterator[tuple[int, Tensor]], shape: tuple[int, int], device: str
    ) -> Int4Linear:
        """From a weight of ``shape`` (N, K) in pieces: first row, rows (n, K) of any floating type. K must be
        a multiple of 64."""
        weight = torch.empty(shape[0], shape[1] // 2, dtype=torch.uint8, device=device)
        steps = torch.empty(shape[1] // GROUP, shape[0], 2, dtype=torch.bfloat16, device=device)
        for first, rows in pieces:
            rows = rows.to(device, torch.float32, copy=True)
            groups = rows.reshape(len(rows), -1, GROUP)  # (n, K / 64, 64)
            low, high = groups.aminmax(dim=-1)
            scale = ((high - low) / 15).clamp(min=1e-12).bfloat16()
            offset = (low + 8 * scale.float()).bfloat16()
            q = groups.sub_(offset.float()[..., None]).div_(scale.float()[..., None]).add_(8)
            q = q.round_().clamp_(0, 15).to(torch.uint8).flatten(1)
            at = slice(first, first + len(rows))
            weight[at] = q[:, 0::2] | (q[:, 1::2] << 4)
            steps[:, at] = torch.stack([scale, offset], -1).transpose(0, 1)
        return cls(weight, steps)

    def parts(self) -> dict[str, Tensor]:
        """What is saved, by the suffix of the weight's name."""
        return {"int4": _from_kernel(self.weight) if self.native else self.weight, "steps": self.steps}

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)"""
        flat = x.reshape(-1, x.shape[-1])
        if self.native and len(flat) <= KERNEL_ROWS:
            y = torch.ops.aten._weight_int4pack_mm_for_cpu(flat.bfloat16(), self.weight, GROUP, self.steps)
            return y.to(x.dtype).reshape(*x.shape[:-1], -1)  # type: ignore[no-any-return]
        outputs = self.steps.shape[1]
        y = flat.new_empty(len(flat), outputs)
        for first in range(0, outputs, BLOCK):
            at = slice(first, min(first + BLOCK, outputs))
            y[:, at] = flat @ self.expand(at).to(x.dtype)
        return y.reshape(*x.shape[:-1], -1)

    def expand(self, at: slice) -> Tensor:
        """Some output rows as bfloat16, transposed: (K, rows). ``at`` begins at a multiple of 64."""
        steps = self.steps[:, at]  # (G, rows, 2)
        if not self.native:
            weight = self.weight[at]
            q = torch.stack([weight & 15, weight >> 4], -1).view(len(weight), -1, GROUP)
            w = torch.addcmul(
                steps[..., 1].t()[..., None], q.bfloat16().sub_(8), steps[..., 0].t()[..., None]
            )
            return w.flatten(1).t()
        k = self.weight.shape[1] * 2
        lanes = self.weight.view(-1, k, LANE // 2)[at.start // LANE : at.stop // LANE]  # (n, K, 32)
        q = torch.cat([lanes & 15, lanes >> 4], -1).bfloat16().sub_(8).view(len(lanes), -1, GROUP, LANE)
        by_lane = steps.reshape(len(steps), -1, 1, LANE, 2).transpose(0, 1)  # (n, G, 1, 64, 2)
        scale, offset = by_lane[..., 0].contiguous(), by_lane[..., 1].contiguous()  # else five times slower
        w = torch.addcmul(offset, q, scale)  # (n, G, 64 inputs, 64 outputs)
        return w.flatten(1, 2).transpose(0, 1).flatten(1)


def _to_kernel(weight: Tensor) -> Tensor:
    """(N, K / 2) bytes by columns -> the CPU kernel's order, without ever expanding the whole matrix."""
    out = torch.empty_like(weight)
    for first in range(0, len(weight), BLOCK):
        rows = weight[first : first + BLOCK]
        q = torch.stack([rows & 15, rows >> 4], -1).flatten(1).int()
        out[first : first + BLOCK] = torch.ops.aten._convert_weight_to_int4pack_for_cpu(q, 2)
    return out


def _from_kernel(weight: Tensor) -> Tensor:
    """The inverse of :func:`_to_kernel`."""
    lanes = weight.view(-1, weight.shape[1] * 2, LANE // 2)  # (N / 64, K, 32)
    q = torch.cat([lanes & 15, lanes >> 4], -1).transpose(1, 2).flatten(0, 1)  # (N, K)
    return q[:, 0::2] | (q[:, 1::2] << 4)


@cache
def native_int4() -> bool:
    """Whether the CPU kernel exists and orders 64 rows as is undone above (AVX-512)."""
    if not hasattr(torch.ops.aten, "_weight_int4pack_mm_for_cpu"):
        return False
    weight = torch.arange(LANE * 64).mul_(37).remainder_(251).to(torch.uint8).view(LANE, 64)
    return torch.equal(_from_kernel(_to_kernel(weight)), weight)
