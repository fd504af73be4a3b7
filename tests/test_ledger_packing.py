"""Rows, columns and segments come out of their bytes as they went in, to the bit; damaged bytes never do."""

from __future__ import annotations

import math
import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaugecast.ledger import columns, directory, packing
from gaugecast.ledger.arrays import InputArrays, OutputArrays
from gaugecast.ledger.blobs import Blobs
from gaugecast.ledger.packing import BodyColumns, DamagedPart, InputColumns, OutputColumns
from gaugecast.ledger.pieces import InputPiece, OutputPiece
from gaugecast.ledger.segment import Builder

_int64 = st.integers(-(1 << 63), (1 << 63) - 1)
_small = st.integers(0, 255)
_id = st.integers(1, (1 << 32) - 1)
_text = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
_floats = st.floats(width=64) | st.sampled_from([0.0, -0.0, math.nan, 21.5, 21.25, 1e300, 5e-324])
_blob = st.binary(max_size=20) | st.lists(_floats, max_size=3).map(lambda some: struct.pack(f"<{len(some)}d", *some))
_delivery = st.integers(-(1 << 63), (1 << 63) - 1) | st.just(0)

input_rows = st.tuples(_small, _small, _id, _int64, _int64, _int64, _delivery, st.integers(0, 1), _blob, _text, _text)
output_rows = st.tuples(_small, st.integers(0, 7), _id, st.integers(0, (1 << 63) - 1), _blob, st.integers(0, 2**32 - 1))
body_rows = st.tuples(_text, st.integers(0, 1), st.integers(0, 2), st.binary(max_size=300))


def by_row(table: InputColumns | OutputColumns | BodyColumns) -> list[tuple[object, ...]]:
    """Rows, to be compared."""
    return list(zip(*table, strict=True))


@given(rows=st.lists(input_rows, min_size=1, max_size=12))
def test_inputs_come_back_as_they_were(rows: list[tuple[object, ...]]) -> None:
    """Whatever numbers, bytes and texts they have."""
    table = InputColumns._make(zip(*rows, strict=True))
    assert by_row(packing.unpack_inputs(packing.pack_inputs(table), len(rows))) == rows


@given(rows=st.lists(output_rows, min_size=1, max_size=12), bodies=st.lists(body_rows, min_size=1, max_size=12))
def test_outputs_and_bodies_come_back_as_they_were(
    rows: list[tuple[object, ...]], bodies: list[tuple[object, ...]]
) -> None:
    """Short parts and compressed ones."""
    table = OutputColumns._make(zip(*rows, strict=True))
    assert by_row(packing.unpack_outputs(packing.pack_outputs(table), len(rows))) == rows
    texts = BodyColumns._make(zip(*bodies, strict=True))
    assert by_row(packing.unpack_bodies(packing.pack_bodies(texts), len(bodies))) == bodies


@given(row=input_rows, made=output_rows)
def test_a_lone_row_is_packed_as_one_of_many_would_be(row: tuple[object, ...], made: tuple[object, ...]) -> None:
    """Two equal rows have one value a column, and differ from one alone in their values alone."""
    lone, pair = (packing.pack_inputs(InputColumns._make(zip(*[row] * count, strict=True))) for count in (1, 2))
    assert by_row(packing.unpack_inputs(lone, 1)) * 2 == by_row(packing.unpack_inputs(pair, 2))
    lone, pair = (packing.pack_outputs(OutputColumns._make(zip(*[made] * count, strict=True))) for count in (1, 2))
    assert by_row(packing.unpack_outputs(lone, 1)) * 2 == by_row(packing.unpack_outputs(pair, 2))


@given(text=st.binary(max_size=400), data=st.data())
def test_a_part_with_a_flipped_bit_is_damaged(text: bytes, data: st.DataObject) -> None:
    """Whichever bit it is; a part that is cut short, too."""
    part = packing.close_part(text)
    assert packing.open_part(part) == text
    bit = data.draw(st.integers(0, len(part) * 8 - 1))
    spoilt = bytearray(part)
    spoilt[bit // 8] ^= 1 << bit % 8
    for wrong in (bytes(spoilt), part[:-1], b""):
        with pytest.raises(DamagedPart):
            packing.open_part(wrong)


@given(column=st.lists(_int64 | st.integers(-300, 300), min_size=1, max_size=40))
def test_integers_come_back_from_planes(column: list[int]) -> None:
    """Though their differences may not fit into 64 bits."""
    stored = columns.encode_ints(np.array(column, np.int64))
    assert columns.decode_ints(stored, len(column)).tolist() == column


@given(column=st.lists(_floats | st.integers(0, 10**6).map(lambda one: one / 1000), min_size=1, max_size=40))
def test_numbers_come_back_to_the_bit(column: list[float]) -> None:
    """Decimals, negative zeros, every kind of NaN."""
    odd = np.array(column)
    odd.view(np.uint64)[::5] |= np.uint64(1)  # NaNs with a payload, among others
    for one in (np.array(column), odd):
        assert columns.decode_floats(columns.encode_floats(one), len(one)).tobytes() == one.tobytes()


@given(column=st.lists(_blob, min_size=1, max_size=20))
def test_blobs_come_back_whatever_their_lengths(column: list[bytes]) -> None:
    """Of one length, of some, of many."""
    blobs = Blobs.of(column)
    assert blobs.to_list() == column
    assert columns.decode_blobs(columns.encode_blobs(blobs), len(column)).to_list() == column


@given(column=st.lists(_blob, min_size=1, max_size=20), data=st.data())
def test_blobs_are_taken_and_joined_as_a_list_would_be(column: list[bytes], data: st.DataObject) -> None:
    """Of one length or of many; by places and by slices."""
    places = data.draw(st.lists(st.integers(0, len(column) - 1)))
    blobs = Blobs.of(column)
    assert blobs.take(np.array(places, np.int64)).to_list() == [column[i] for i in places]
    assert blobs.take(slice(None, None, -1)).to_list() == column[::-1]
    assert Blobs.joined([blobs, blobs.take(slice(3)), Blobs.of([])]).to_list() == column + column[:3]


def test_blobs_are_a_table_of_floats() -> None:
    """Rows of an earlier, narrower configuration end in NaNs."""
    rows = [struct.pack("<2d", 1.0, 2.0), struct.pack("<d", 3.0), b""]
    assert Blobs.of(rows[:1] * 2).table().tolist() == [[1.0, 2.0]] * 2
    assert np.array_equal(Blobs.of(rows).table(), [[1.0, 2.0], [3.0, np.nan], [np.nan] * 2], equal_nan=True)
    assert Blobs.of(rows[2:]).table().shape == (1, 0)


@given(inputs=st.lists(input_rows, min_size=1, max_size=6), outputs=st.lists(output_rows, min_size=1, max_size=6))
def test_arrays_have_what_commits_write(inputs: list[tuple[object, ...]], outputs: list[tuple[object, ...]]) -> None:
    """Whether they are made of a part or of its columns, and joined one after another."""
    table, made = InputColumns._make(zip(*inputs, strict=True)), OutputColumns._make(zip(*outputs, strict=True))
    arrays = InputArrays.unpacked(packing.pack_inputs(table), len(inputs))
    assert array_rows(InputArrays.joined([arrays, InputArrays.of(table)])) == array_rows(arrays) * 2
    assert [row[:7] + row[8:] for row in array_rows(arrays)] == inputs
    whole = OutputArrays.unpacked(packing.pack_outputs(made), len(outputs))
    assert array_rows(OutputArrays.joined([whole, OutputArrays.of(made)])) == array_rows(whole) * 2 == outputs * 2


def array_rows(arrays: InputArrays | OutputArrays) -> list[tuple[object, ...]]:
    """Rows, to be compared."""
    columns = (c.to_list() if isinstance(c, Blobs) else c.tolist() if isinstance(c, np.ndarray) else c for c in arrays)
    return list(zip(*columns, strict=True))


@given(deliveries=st.lists(st.integers(0, (1 << 64) - 1) | _int64, min_size=1, max_size=4))
def test_deliveries_of_all_64_bits_are_told_from_negative_ones(deliveries: list[int]) -> None:
    """Arrays have no integers of 65 bits: a flag says how they are meant."""
    same_sign = [one for one in deliveries if (one < 0) == (deliveries[0] < 0)]
    rows = [(0, 0, 1, 5, 5, 5, one, 0, b"", "", "") for one in same_sign]
    arrays = InputArrays.unpacked(packing.pack_inputs(InputColumns._make(zip(*rows, strict=True))), len(rows))
    found = zip(arrays.deliveries.tolist(), arrays.wide.tolist(), strict=True)
    assert [one + (flag << 64) for one, flag in found] == same_sign


@settings(max_examples=40, deadline=None)
@given(
    commits=st.lists(
        st.tuples(st.lists(input_rows, min_size=1, max_size=8), st.lists(output_rows, max_size=8)),
        min_size=1,
        max_size=5,
    ),
    few_streams=st.booleans(),
)
def test_a_segment_has_every_row_once_under_its_number(
    commits: list[tuple[list[tuple[object, ...]], list[tuple[object, ...]]]], few_streams: bool
) -> None:
    """Sorted by stream, in pieces, and found again by `seq` and position."""
    builder = Builder(1000, 70)
    expected_inputs, expected_outputs = [], []
    for inputs, outputs in commits:
        if few_streams:
            inputs = [(*row[:2], 1 + i % 2, *row[3:]) for i, row in enumerate(inputs)]
        first = 1000 + builder.inputs
        builder.add_inputs(InputArrays.of(InputColumns._make(zip(*inputs, strict=True))))
        expected_inputs += inputs
        if outputs:
            builder.add_outputs(OutputArrays.of(OutputColumns._make(zip(*outputs, strict=True))), first_seq=first)
            expected_outputs += [(row[0], first + row[1], *row[2:]) for row in outputs]  # type: ignore[operator]
    made = dict(one for one in builder.pieces() if one is not None)
    found = directory.Directory(builder.directory(), 1000, 70)
    numbered: dict[int, tuple[object, ...]] = {}
    said: dict[int, tuple[object, ...]] = {}
    for number, part in made.items():
        if number < directory.OUTPUTS_FROM:
            piece = InputPiece(part, found, number)
            numbered |= zip(piece.rows.tolist(), by_row(piece.columns()), strict=True)
        else:
            outs = OutputPiece(part, found, number)
            rows = zip(
                outs.kinds().tolist(), outs.seqs().tolist(), outs.stream_ids().tolist(), outs.steps().tolist(),
                outs.forecasts().to_list(), outs.body_crcs().tolist(), strict=True,
            )  # fmt: skip
            said |= zip(outs.positions().tolist(), rows, strict=True)
    assert numbered == dict(enumerate(expected_inputs))
    assert said == dict(enumerate(expected_outputs, 70))
