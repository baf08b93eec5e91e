# SPDX-License-Identifier: Apache-2.0
"""How many frames a host dropped, by reason: as its switch counts them, and as `GET /metrics` says."""

from __future__ import annotations

import re
from collections import Counter

from sdnctl.flows.pipeline import Reason, Table, read_cookie
from topologies import Host
from topologies.controller import Controller

_FLOW = re.compile(r"cookie=(0x[0-9a-f]+), .*\btable=(\d+), n_packets=(\d+),")
_ANSWER = re.compile(r'^sdnctl_dhcp_answers_total\{kind="([^"]+)"\} (\S+)$', re.MULTILINE)
_SAMPLE = re.compile(r'^sdnctl_dropped_packets_total\{host="([^"]+)",reason="([^"]+)"\} (\S+)$', re.MULTILINE)


def drops(host: Host) -> Counter[str]:
    """Frames by reason, from the counters of the flows that decide so; the tables after them count by port."""
    # Frames like those just seen are counted by a cache, which tells the flows when it is emptied.
    host.appctl("revalidator/purge")
    found: Counter[str] = Counter()
    for cookie, table, packets in _FLOW.findall(host.ofctl("dump-flows", "br-int", "--no-names")):
        known = read_cookie(int(cookie, 16))
        if int(table) < Table.DROPPED and known is not None and known[1] is not Reason.NONE and int(packets):
            found[known[1].name] += int(packets)
    return found


def told_questions(controller: Controller) -> Counter[str]:
    """Questions of DHCP clients by what the controller made of them."""
    return Counter({name: int(float(value)) for name, value in _ANSWER.findall(controller.metrics())})


def told_drops(controller: Controller, host: Host) -> Counter[str]:
    """The same, as the controller last read them."""
    samples = _SAMPLE.findall(controller.metrics())
    return Counter({reason.upper(): int(float(value)) for name, reason, value in samples if name == host.name})
