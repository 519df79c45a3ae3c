"""Samples of large matrices: some rows say how columns are used, and how free the signs of rows are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from apograph.align.role_match import alike
from apograph.align.role_sheets import LEADING, Reader, Reals, mean_row
from apograph.align.role_views import Floats, read, view_shape
from apograph.align.roles import View
from apograph.findings import Refusal

ROWS = 1024


class Peek:
    """Traits of matrices from at most ``ROWS`` of their rows [out, in], each read once."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self._rows: dict[View, Floats] = {}

    def rows(self, view: View) -> Floats:
        """[at most ROWS, in]; empty where the values cannot be had."""
        if view not in self._rows:
            stop = view_shape(self.reader.store, replace(view, start=0, stop=None, period=0, width=0))[0]
            some = view
            if not view.period:
                some = replace(view, stop=min(view.start + ROWS, stop if view.stop is None else view.stop))
            try:
                values = read(self.reader.store, some)
                self._rows[view] = np.where(np.isfinite(values), values, 0)
            except Refusal:
                self._rows[view] = np.zeros((0, 0), np.float32)
        return self._rows[view]

    def columns(self, views: Sequence[View]) -> Reals:
        """Logarithm [in] of the columns' squared lengths over all ``views``; [1] where nothing can be had."""
        total: Reals = np.zeros(1)
        for view in views:
            rows = self.rows(view)
            if rows.size:
                total = total + np.einsum("ij,ij->j", rows, rows, dtype=np.float64)
        return np.asarray(np.log(total + 1e-30))

    def inputs(self, view: View) -> Reals:
        """Gram matrix of the leading columns, at most [LEADING, LEADING]."""
        some = self.rows(view)[:, :LEADING]
        return (some.T @ some).astype(np.float64)

    def outputs(self, view: View) -> Reals:
        """Gram matrix of the leading rows, at most [LEADING, LEADING]."""
        some = self.rows(view)[:LEADING]
        return (some @ some.T).astype(np.float64)

    def free(self, view: View) -> float:
        """About 1 where the signs of rows are free, more where rows have a direction in common."""
        rows = self.rows(view)
        return mean_row(rows) if rows.size else 1.0

    def reads(self, square: View, stream: Reals) -> float:
        """How much more the columns than the rows of a square matrix resemble the ``stream``, a Gram matrix
        of its leading channels."""
        return alike(self.inputs(square), stream) - alike(self.outputs(square), stream)


def stream_gram(reads: Sequence[Reals], writes: Sequence[Reals]) -> Reals | None:
    """Mean of Gram matrices [n, n] over the channels of a stream, each brought to trace 1; None where all
    are zero."""
    grams = [g / t for g in (*reads, *writes) if (t := float(np.trace(g))) > 0]
    return np.asarray(np.mean(grams, axis=0)) if grams else None
