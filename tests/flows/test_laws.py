# SPDX-License-Identifier: Apache-2.0
"""Laws that hold for every flow we can write."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sdnctl.flows.flow import Flow
from sdnctl.flows.match import Match, match_of
from sdnctl.flows.text import parse, read_line, read_match
from sdnctl.flows.wire import add_message, decode, encode, wire_text
from tests.flows import strategies
from tests.flows.samples import sample_flows


@given(strategies.flows())
def test_bytes_say_all(flow: Flow):
    """What is sent can be read back as the same value, and prints the same."""
    wire = encode(flow)
    assert decode(wire) == flow
    assert wire_text(wire) == flow.text()


def test_samples_say_all():
    for flow in sample_flows():
        assert decode(encode(flow)) == flow
        assert wire_text(encode(flow)) == flow.text()
        assert parse(flow.text()) == flow


@given(strategies.flows())
def test_text_says_all(flow: Flow):
    text = flow.text()
    assert parse(text) == flow
    assert parse(text).text() == text
    assert parse(flow.text(names=True)) == flow
    typed = text.replace(", table", ",table").replace(" actions=", ",actions=")
    assert parse(typed) == flow
    head, _, actions = text.partition("actions=")
    dumped = f" {head.replace('table=', 'duration=1.2s, table=')}n_packets=3, n_bytes=5, idle_age=2, actions={actions}"
    assert read_line(dumped).match == flow.match


@given(strategies.matches(), st.randoms(use_true_random=False))
def test_order_of_narrowing_does_not_matter(match: Match, chance: random.Random):
    """Fields only need their prerequisites first; which of several comes first makes no difference."""
    left = list(match.tests)
    chance.shuffle(left)
    again = Match()
    while left:
        ready = next(one for one in left if not one.needs & ~again.gives)
        left.remove(ready)
        again = again.also(ready)
    assert again == match
    assert hash(again) == hash(match)
    assert again.oxm == match.oxm
    assert match_of(match.tests) == match


@given(strategies.matches(), strategies.matches())
def test_equal_bytes_mean_equal_matches(one: Match, other: Match):
    assert (one == other) == (one.text() == other.text()) == (one.oxm == other.oxm)


@given(strategies.matches())
def test_match_text_is_read_back(match: Match):
    assert read_match(match.text()) == match


@given(strategies.flows())
def test_message_is_framed_rightly(flow: Flow):
    message = add_message(encode(flow), 77)
    assert int.from_bytes(message[2:4], "big") == len(message)
    assert len(message) % 8 == 0
