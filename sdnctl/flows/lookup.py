# SPDX-License-Identifier: Apache-2.0
"""Which flow of a table a packet hits, as Open vSwitch's classifier finds it.

Flows that test the same bits of the same fields share a dictionary, so a look-up costs one access for each such set of
bits, from the highest priority down, however many flows there are.
"""

from __future__ import annotations

from collections.abc import Iterable

from sdnctl.flows.action import Conjunction
from sdnctl.flows.fields import Field
from sdnctl.flows.flow import Flow


class _Subtable:
    """Flows that test the same bits of the same fields: by their values, each list from the highest priority down."""

    __slots__ = ("chains", "tests", "top")

    def __init__(self, tests: tuple[tuple[int, int], ...]) -> None:
        self.tests = tests
        self.top = -1
        self.chains: dict[tuple[int, ...], list[Flow]] = {}

    def add(self, key: tuple[int, ...], flow: Flow) -> None:
        chain = [one for one in self.chains.get(key, ()) if one.priority != flow.priority]
        chain.append(flow)
        chain.sort(key=lambda one: -one.priority)
        self.chains[key] = chain
        self.top = max(self.top, flow.priority)


class TableIndex:
    """The flows of one table, found by what they test."""

    __slots__ = ("subtables",)

    def __init__(self, flows: Iterable[Flow]) -> None:
        found: dict[tuple[tuple[int, int], ...], _Subtable] = {}
        for flow in flows:
            tests = tuple((int(one.field), one.mask) for one in flow.match.tests)
            subtable = found.get(tests)
            if subtable is None:
                subtable = found[tests] = _Subtable(tests)
            subtable.add(tuple([one.value for one in flow.match.tests]), flow)
        self.subtables = sorted(found.values(), key=lambda one: -one.top)

    def find(self, values: list[int]) -> Flow | None:
        """The flow for a packet."""
        hard: Flow | None = None
        priority = -1
        soft: list[list[Flow]] = []
        for subtable in self.subtables:
            if subtable.top <= priority:
                break
            chain = subtable.chains.get(tuple([values[at] & mask for at, mask in subtable.tests]))
            if chain is None or chain[0].priority <= priority:
                continue
            if _is_soft(chain[0]):
                soft.append(chain)
            else:
                hard = chain[0]
                priority = hard.priority
        return self._joined(values, hard, soft) if soft else hard

    def _joined(self, values: list[int], hard: Flow | None, chains: list[list[Flow]]) -> Flow | None:
        """The flow whose conjunction holds, from the highest priority down, or `hard` if that is higher than any."""
        places = [(chain, 0) for chain in chains]
        while True:
            priority = hard.priority if hard is not None else -1
            places = [(chain, at) for chain, at in places if at < len(chain) and chain[at].priority > priority]
            if not places:
                return hard
            top = max(chain[at].priority for chain, at in places)
            passed: dict[int, int] = {}
            for chain, at in places:
                if chain[at].priority != top:
                    continue
                number = _completed(chain[at], passed)
                if number is not None:
                    found = self._find_conjunction(values, number)
                    if found is not None:
                        return found
            further = []
            for chain, at in places:
                if chain[at].priority != top:
                    further.append((chain, at))
                elif at + 1 < len(chain):
                    lower = chain[at + 1]
                    if _is_soft(lower):
                        further.append((chain, at + 1))
                    elif lower.priority > priority:
                        hard, priority = lower, lower.priority
            places = further

    def _find_conjunction(self, values: list[int], number: int) -> Flow | None:
        saved = values[Field.CONJ_ID]
        values[Field.CONJ_ID] = number
        hard: Flow | None = None
        for subtable in self.subtables:
            if hard is not None and subtable.top <= hard.priority:
                break
            chain = subtable.chains.get(tuple([values[at] & mask for at, mask in subtable.tests]))
            if chain and not _is_soft(chain[0]) and (hard is None or chain[0].priority > hard.priority):
                hard = chain[0]
        values[Field.CONJ_ID] = saved
        return hard


def _is_soft(flow: Flow) -> bool:
    return bool(flow.actions) and type(flow.actions[0]) is Conjunction


def _completed(flow: Flow, passed: dict[int, int]) -> int | None:
    """The first conjunction of which `flow` is the last clause that was missing."""
    for action in flow.actions:
        if type(action) is Conjunction:
            clauses = passed.get(action.id, 0) | 1 << action.clause - 1
            passed[action.id] = clauses
            if clauses == (1 << action.clauses) - 1:
                return action.id
    return None
