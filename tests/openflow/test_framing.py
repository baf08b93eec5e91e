# SPDX-License-Identifier: Apache-2.0
"""Messages come out whole, however the stream was cut."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl.openflow.framing import Framer, MalformedError
from tests.openflow.peer import message

MESSAGES = st.lists(st.binary(max_size=40).map(lambda body: message(2, body)), max_size=20)


@given(MESSAGES, st.lists(st.integers(1, 30), min_size=1))
def test_any_cut_of_a_stream_gives_the_same_messages(sent: list[bytes], cuts: list[int]) -> None:
    stream = b"".join(sent)
    framer = Framer()
    heard: list[bytes] = []
    at = 0
    while at < len(stream):
        step = cuts[len(heard) % len(cuts)]
        heard += framer.feed(stream[at : at + step])
        at += step
    assert heard == sent
    assert framer.held == 0


def test_the_rest_of_a_message_waits_for_more() -> None:
    framer = Framer()
    whole = message(2, b"abc")
    assert list(framer.feed(whole + whole[:10])) == [whole]
    assert framer.held == 10
    assert list(framer.feed(whole[10:])) == [whole]


def test_what_is_left_when_the_reader_stops_early_is_not_lost() -> None:
    framer = Framer()
    first, second = message(2, b"1"), message(2, b"2")
    messages = framer.feed(first + second)
    assert next(messages) == first
    messages.close()
    assert list(framer.feed(b"")) == [second]


@pytest.mark.parametrize("length", range(8))
def test_a_length_below_the_header_is_refused(length: int) -> None:
    with pytest.raises(MalformedError, match=f"length of {length} bytes"):
        list(Framer().feed(message(2, length=length)))
