"""The only matrix product of the forecasting path, made so that a row never depends on its neighbours.

A plain BLAS call picks its kernel by the matrix's shape, and some kernels sum in another order at the
matrix's edge: the same row then gives other last bits at batch 1, in a narrow output, or at another
position. Blocks of exactly 8 rows and a multiple of 8 columns always take the same way through BLAS.
"""

from __future__ import annotations

import numpy as np

from gaugecast.records import Float32

BLOCK = 8


def pad_size(size: int) -> int:
    """The least multiple of 8 that is not below `size`."""
    return -(-size // BLOCK) * BLOCK


def pad_columns(b: Float32) -> Float32:
    """`b` (…, K, C) as a new C-contiguous array (…, K, C₈): zero columns up to a multiple of 8."""
    padded = np.zeros((*b.shape[:-1], pad_size(b.shape[-1])), dtype=np.float32)
    padded[..., : b.shape[-1]] = b
    return padded


def multiply_rows(a: Float32, b: Float32, out: Float32) -> None:
    """Write a·b into `out`; each row's bits depend on that row and on `b` alone.

    Args:
        a: (R, K), C-contiguous float32, R a multiple of 8, K at least 2.
        b: (G, K, C), G matrices that have been through `pad_columns`.
        out: (G, R, C), C-contiguous float32.
    """
    rows, depth = a.shape
    gates, _, columns = b.shape
    blocks = rows // BLOCK
    np.matmul(
        a.reshape(blocks, BLOCK, depth),
        b.reshape(gates, 1, depth, columns),
        out=out.reshape(gates, blocks, BLOCK, columns),
    )
