"""The 4-bit NormalFloat layout of bitsandbytes, in which the model's official int4 release is published.

Each weight is one of 16 quantiles of a normal distribution times the largest magnitude of its block of 64;
those magnitudes are quantised in turn to 8 bits in blocks of 256, after subtracting their mean. Source:
Dettmers et al. 2023 (QLoRA, arXiv 2305.14314, section 3). Written in plain tensor operations, so it runs on
any device; products expand blocks of rows first. Without a fused kernel this is for small memory, not for
speed: prefer int4 on a CPU.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn

from apograph.findings import Message, Refusal

BLOCK, NESTED = 64, 256
ROWS = 1024  # output rows expanded at a time
STATE = "quant_state.bitsandbytes__nf4"
# The 16 values, from Dettmers et al., appendix E.
NF4 = (
    -1.0, -0.6961928009986877, -0.5250730514526367, -0.39491748809814453, -0.28444138169288635,
    -0.18477343022823334, -0.09105003625154495, 0.0, 0.07958029955625534, 0.16093020141124725,
    0.24611230194568634, 0.33791524171829224, 0.44070982933044434, 0.5626170039176941, 0.7229568362236023,
    1.0,
)  # fmt: skip


def dynamic_map() -> Tensor:
    """The (256,) values of the 8-bit dynamic type (Dettmers et al. 2022, arXiv 2110.02861, section 2.1)."""
    values: list[float] = [0.0, 1.0]
    for exponent in range(7):
        edges = torch.linspace(0.1, 1, 2**exponent + 1)
        means = 10.0 ** (exponent - 6) * (edges[:-1] + edges[1:]) / 2
        values += [*means.tolist(), *(-means).tolist()]
    return torch.tensor(sorted(values))


class NF4Linear(nn.Module):
    """y = x @ W^T + bias. ``weight`` is (N * K / 2, 1) bytes; the high half of a byte comes first."""

    kind = "nf4"

    def __init__(
        self, parts: Mapping[str, Tensor], shape: tuple[int, int], bias: Tensor | None = None
    ) -> None:
        """``parts`` as bitsandbytes names them. Raises Refusal(3) when they do not fit ``shape``."""
        super().__init__()
        self.shape = shape
        self.offset = _check(parts, shape)
        for name in ("weight", "absmax", "nested_absmax", "nested_quant_map", "quant_map"):
            self.register_buffer(name, parts[name])
        self.bias = None if bias is None else nn.Parameter(bias, requires_grad=False)

    @classmethod
    def quantise(cls, pieces: Iterator[tuple[int, Tensor]], shape: tuple[int, int], device: str) -> NF4Linear:
        """From a weight of ``shape`` (N, K) in pieces: first row, rows (n, K) of any floating type. K must be
        a multiple of 64."""
        table = torch.tensor(NF4, device=device)
        edges = (table[1:] + table[:-1]) / 2
        weight, largest = [], []
        for _, rows in pieces:
            blocks = rows.to(device).float().reshape(-1, BLOCK)
            absmax = blocks.abs().amax(-1)
            q = torch.bucketize(blocks / absmax.clamp(min=1e-30)[:, None], edges).to(torch.uint8).flatten()
            weight.append((q[0::2] << 4) | q[1::2])
            largest.append(absmax)
        absmax = torch.cat(largest)
        offset = absmax.mean()
        padded = nn.functional.pad(absmax - offset, (0, -len(absmax) % NESTED)).reshape(-1, NESTED)
        nested = padded.abs().amax(-1)
        nested_map = dynamic_map().to(device)
        scaled = padded / nested.clamp(min=1e-30)[:, None]
        codes = torch.bucketize(scaled, (nested_map[1:] + nested_map[:-1]) / 2).to(torch.uint8)
        parts = {
            "weight": torch.cat(weight)[:, None],
            "absmax": codes.flatten()[: len(absmax)],
            "nested_absmax": nested,
            "nested_quant_map": nested_map,
            "quant_map": table,
            STATE: _state(shape, offset.item()),
        }
        return cls(parts, shape)

    def parts(self) -> dict[str, Tensor]:
        """What is saved: the suffixes are those of bitsandbytes, "" is the weight itself."""
        names = ("absmax", "nested_absmax", "nested_quant_map", "quant_map")
        kept = {name: self.get_buffer(name) for name in names}
        return {"": self.get_buffer("weight"), **kept, STATE: _state(self.shape, self.offset)}

    def expand(self, first: int, rows: int) -> Tensor:
        """(rows, K) float32 from output row ``first`` on."""
        k = self.shape[1]
        start, stop = first * k, (first + rows) * k
        packed = self.get_buffer("weight")[start // 2 : stop // 2, 0]
        codes = torch.stack([packed >> 4, packed & 15], -1).flatten().long()
        blocks = torch.arange(start // BLOCK, stop // BLOCK, device=packed.device)
        absmax = self.get_buffer("nested_quant_map")[self.get_buffer("absmax")[blocks].long()]
        absmax = absmax * self.get_buffer("nested_absmax")[blocks // NESTED] + self.offset
        return (self.get_buffer("quant_map")[codes].view(-1, BLOCK) * absmax[:, None]).view(rows, k)

    def forward(self, x: Tensor) -> Tensor:
        """(..., K) -> (..., N)"""
        blocks = [
            x @ self.expand(first, min(ROWS, self.shape[0] - first)).to(x.dtype).t()
            for first in range(0, self.shape[0], ROWS)
        ]
        y = torch.cat(blocks, -1)
        return y if self.bias is None else y + self.bias


def _state(shape: tuple[int, int], offset: float) -> Tensor:
    """The description that bitsandbytes stores beside a weight: JSON as bytes."""
    state = {
        "quant_type": "nf4", "blocksize": BLOCK, "dtype": "float16", "shape": list(shape),
        "nested_blocksize": NESTED, "nested_dtype": "float32", "nested_offset": offset,
    }  # fmt: skip
    return torch.tensor(list(json.dumps(state).encode()), dtype=torch.uint8)


def _check(parts: Mapping[str, Tensor], shape: tuple[int, int]) -> float:
    """The offset of the nested magnitudes, when everything fits; an untrusted file wrote these."""
    needed = {"weight", "absmax", "nested_absmax", "nested_quant_map", "quant_map", STATE}
    n = shape[0] * shape[1]
    try:
        state = json.loads(bytes(parts[STATE].tolist())) if needed <= parts.keys() else {}
        sizes = {name: parts[name].numel() for name in needed - {STATE}} if state else {}
        wanted = {
            "weight": n // 2, "absmax": n // BLOCK, "nested_absmax": -(-(n // BLOCK) // NESTED),
            "nested_quant_map": 256, "quant_map": 16,
        }  # fmt: skip
        bytes_ = all(parts[name].dtype == torch.uint8 for name in ("weight", "absmax") if state)
        fits = sizes == wanted and bytes_ and shape[1] % BLOCK == 0 and state["shape"] == list(shape)
        fits = fits and state["blocksize"] == BLOCK and state["nested_blocksize"] == NESTED
        if fits:
            return float(state["nested_offset"])
    except (ValueError, KeyError, TypeError):
        pass
    raise Refusal(3, Message("minicpmv.refused.nf4"))
