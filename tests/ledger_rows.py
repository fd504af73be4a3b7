"""Rows for the ledger's tests: short makers of inputs and outputs, and Hypothesis strategies for any of them."""

from __future__ import annotations

import struct

from hypothesis import strategies as st

from gaugecast import events
from gaugecast.ledger import Ledger
from gaugecast.ledger.packing import pack_outputs, unpack_outputs
from gaugecast.records import Input, Kind, Output, Verdict

T0 = 1_700_000_000_000_000_000
SECOND = 1_000_000_000

_int64 = st.integers(-(1 << 63), (1 << 63) - 1)
_text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=20)  # no topic has one


def reading(number: int, *, stream: str = "hall/boiler", at_ns: int | None = None) -> Input:
    """The `number`-th reading of a stream of fleet `tanks`, one a second."""
    at = T0 + number * SECOND if at_ns is None else at_ns
    return Input.reading("tanks", stream, at, at, struct.pack("<2d", number, -number))


def forecast(cause: int, step: int, *, stream: str = "hall/boiler") -> Output:
    """Forecast number `step` of a stream, made by input `cause` of its batch."""
    body = f'{{"stream":"{stream}","step":{step}}}'.encode()
    return Output(cause, "tanks", stream, step, struct.pack("<d", step), f"out/{stream}", body, step % 2 == 0, 1)


def micro_batch(first: int, size: int) -> tuple[list[Input], list[int], list[Output]]:
    """`size` readings from number `first` on, each stepped and with its forecast."""
    inputs = [reading(first + i) for i in range(size)]
    return inputs, [int(Verdict.STEPPED)] * size, [forecast(i, first + i) for i in range(size)]


def alter_crcs(ledger: Ledger, *, after: int) -> None:
    """As if other bodies had been published for the outputs with positions > `after`."""
    rows = ledger._connection.execute("SELECT first_seq, first_position, outputs, output_part FROM batches").fetchall()
    for seq, first, count, part in rows:
        if count:
            columns = unpack_outputs(part, count)
            crcs = [(crc ^ 1) if first + i > after else crc for i, crc in enumerate(columns.body_crcs)]
            ledger._connection.execute(
                "UPDATE batches SET output_part = ? WHERE first_seq = ?",
                (pack_outputs(columns._replace(body_crcs=crcs)), seq),
            )


any_input = st.builds(
    Input,
    kind=st.sampled_from(Kind),
    fleet=_text,
    stream=_text,
    at_ns=_int64,
    received_at_ns=st.integers(0, (1 << 62)),
    values=st.binary(max_size=40),
    key=_int64,
    delivery=st.integers(0, (1 << 64) - 1),
    dup=st.booleans(),
    reason=_text,
    event=st.none(),
).map(lambda one: one._replace(reason="", event=events.SessionLost()) if one.kind == Kind.EVENT else one)


@st.composite
def any_batch(draw: st.DrawFn) -> tuple[list[Input], list[int], list[Output]]:
    """Any inputs, verdicts and outputs that one commit may have."""
    inputs = draw(st.lists(any_input, min_size=1, max_size=8))
    verdicts = draw(st.lists(st.sampled_from(Verdict), min_size=len(inputs), max_size=len(inputs)))
    outputs = draw(
        st.lists(
            st.builds(
                Output,
                cause=st.integers(0, len(inputs) - 1),
                fleet=_text,
                stream=_text,
                step=st.integers(0, (1 << 63) - 1),
                forecast=st.binary(max_size=40),
                topic=_text,
                body=st.binary(max_size=60),
                retain=st.booleans(),
                qos=st.integers(0, 1),
            ),
            max_size=8,
        )
    )
    return inputs, [int(v) for v in verdicts], outputs
