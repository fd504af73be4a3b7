"""The product of the forecasting path."""

from __future__ import annotations

import numpy as np
import pytest

from gaugecast.engine.product import multiply_rows, pad_columns, pad_size


@pytest.mark.parametrize(("size", "padded"), [(0, 0), (1, 8), (7, 8), (8, 8), (9, 16), (257, 264)])
def test_sizes_are_padded_to_the_next_multiple_of_eight(size: int, padded: int) -> None:
    """Never below the size, never more than seven above."""
    assert pad_size(size) == padded


def test_padded_columns_are_zero_and_the_rest_is_unchanged() -> None:
    """What stands in padded columns of a product is zero, so it may be dropped."""
    b = np.arange(15, dtype=np.float32).reshape(1, 3, 5)
    padded = pad_columns(b)
    assert padded.shape == (1, 3, 8)
    assert padded[..., :5].tolist() == b.tolist()
    assert not padded[..., 5:].any()


def test_the_product_agrees_with_double_precision() -> None:
    """Blocks and groups are only an order of the work; the numbers are those of a·b."""
    rng = np.random.default_rng(0)
    a = rng.standard_normal((24, 19)).astype(np.float32)
    b = rng.standard_normal((4, 19, 16)).astype(np.float32)
    out = np.empty((4, 24, 16), dtype=np.float32)
    multiply_rows(a, b, out)
    np.testing.assert_allclose(out, a.astype(np.float64) @ b.astype(np.float64), atol=2e-5)
