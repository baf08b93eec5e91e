# SPDX-License-Identifier: Apache-2.0
"""One bridge that speaks OpenFlow with us.

    who asks (a task of sync)              the channel's tasks
    read_flows, apply, barrier   ------->  outbox ------- writing ------------->  ovs-vswitchd
      waits for its answer       <-------  calls <-----+
    on_packet_in, on_ports_changed  <------------------+- receiving <-----------

Whoever asks waits for an answer by its xid, or gets HostGoneError when the connection ends first. Callbacks run in the
receiving task, between two messages: they must be quick (put something into a queue, wake a task) and may not wait for
an answer from this connection, which only the receiving task could bring. Callbacks of one connection never overlap.

The connection knows nothing of hosts, flows or tenants; it carries bytes that `sdnctl.flows.wire` made.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import ClassVar, Final

from os_ken.ofproto import ofproto_v1_4 as ofp

from sdnctl import runtime
from sdnctl.errors import HostGoneError, SwitchRefusedError
from sdnctl.flows import wire
from sdnctl.flows.wire import VERSION
from sdnctl.model.statistics import PortCounters
from sdnctl.openflow import messages
from sdnctl.openflow.bundle import bundled, numbered
from sdnctl.openflow.channel import Channel, Limits
from sdnctl.openflow.framing import MalformedError
from sdnctl.openflow.messages import Error

_WRITE: Final = 64 * 1024
"""How many bytes of small messages are joined before they are queued."""
_LAST_XID: Final = 0xFFFF_FFFF
_MOST_PORTS: Final = 0x10000
"""OVS numbers its ports with 16 bits; whoever claims more is after our memory."""


@dataclass(slots=True, eq=False)
class _Call:
    """An answer that somebody waits for."""

    what: str
    kind: int
    """Message type of the answer."""
    consume: Callable[[bytes], None]
    """Gets the whole message, or the body of each part of a multipart reply, in the receiving task."""
    part_kind: int = -1
    """For multipart replies: of which kind."""
    size: int = 0
    error: Error | None = None
    done: runtime.Signal = field(default_factory=runtime.Signal)


@dataclass(slots=True, eq=False)
class _Sent:
    """The messages of one `apply`: their xids follow each other from `first` on, so that an error's xid names one."""

    first: int
    count: int
    refusals: list[tuple[int, int, int]] = field(default_factory=list)


class Connection:
    """A bridge, from its hello to its end."""

    def __init__(self, sock: socket.socket, peer: str, limits: Limits) -> None:
        self.dpid = 0
        self.serial = ""
        self.software = ""
        """`other_config:dp-sn` of the bridge, as it was when the connection began."""
        self.packet_ins = 0
        self.packet_ins_unheard = 0
        """Packet-ins that came before anybody listened."""
        self.sent = 0
        self.dropped = 0
        """Messages given to `send` that were dropped because the switch did not read fast enough."""
        self.unasked_errors = 0
        """Errors about messages nobody waited for, that is packet-outs."""
        self.last_unasked_error = ""
        self._channel = Channel(sock, peer, limits, self._receive, self._end_of_batch)
        self._ports: dict[str, int] = {}
        self._names: dict[int, str] = {}
        self._ports_changed = False
        self._calls: dict[int, _Call] = {}
        self._sending: _Sent | None = None
        self._next_xid = 1
        self._bundles = 0
        self._greeted = runtime.Signal()
        self._finished = False
        self._packet_in_callback: Callable[[int, int, bytes], None] | None = None
        self._ports_callback: Callable[[], None] | None = None
        self._closed_callback: Callable[[str], None] | None = None

    def __repr__(self) -> str:
        return f"<Connection {self.dpid:016x} from {self.peer}>"

    # ------------------------------------------------------------------------------------------------- what users see

    @property
    def peer(self) -> str:
        """Where the switch connects from."""
        return self._channel.peer

    @property
    def peer_name(self) -> str | None:
        """Common name in the peer's certificate; None without TLS."""
        return self._channel.peer_name

    @property
    def is_open(self) -> bool:
        return self._channel.reason is None

    @property
    def is_known(self) -> bool:
        """Which bridge this is and what ports it has was found out; nobody is told of a connection before."""
        return self._channel.is_settled

    @property
    def reason(self) -> str | None:
        """Why the connection ended; None while it is open."""
        return self._channel.reason

    @property
    def ports(self) -> Mapping[str, int]:
        """Ofport by name, kept up to date. The bridge's own port is among them, and OVS cuts names to 15 characters."""
        return MappingProxyType(self._ports)

    def on_packet_in(self, callback: Callable[[int, int, bytes], None]) -> None:
        """Call `callback(in_port, cookie, frame)` for each punted frame from now on."""
        self._packet_in_callback = callback

    def on_ports_changed(self, callback: Callable[[], None]) -> None:
        """Call `callback()` after `ports` changed, once for changes that came together."""
        self._ports_callback = callback

    def on_closed(self, callback: Callable[[str], None]) -> None:
        """Call `callback(reason)` when the connection has ended; at once if it has already."""
        self._closed_callback = callback
        if self._finished:
            callback(self.reason or "")

    def send(self, message: bytes) -> bool:
        """Send without waiting for anything; False if it was dropped because too much waits already."""
        if self._channel.outbox.offer(message):
            self.sent += 1
            return True
        self.dropped += 1
        return False

    def barrier(self, timeout_s: float) -> None:
        """Return when the switch has done all that was sent before; TimeoutError if that takes longer."""
        xid = self._begin_barrier()
        call = self._calls[xid]
        try:
            if not call.done.wait(timeout_s):
                raise TimeoutError(f"no answer to a barrier request within {timeout_s:g} s")
        finally:
            self._calls.pop(xid, None)
        self._raise_unless_answered(call)

    def read_flows(self, which: wire.FlowFilter = wire.EVERY_FLOW) -> list[bytes]:
        """The bridge's flows: the body of each part of the reply, for `flows.wire.parse_flow_stats`."""
        return self._read("the flows", ofp.OFPMP_FLOW, lambda xid: wire.flow_stats_request(xid, which))

    def read_port(self, ofport: int) -> PortCounters:
        """What passed a port, seen from behind it; nothing if there is no such port."""
        request = partial(wire.port_stats_request, ofport)
        for body in self._read(f"the counters of port {ofport}", ofp.OFPMP_PORT_STATS, request):
            for found in wire.parse_port_stats(body):
                return PortCounters(found.received_packets, found.received_bytes, found.sent_packets, found.sent_bytes)
        return PortCounters()

    def read_meters(self) -> list[bytes]:
        """Every meter of the bridge, as `read_flows` does."""
        return self._read("the meters", ofp.OFPMP_METER_CONFIG, wire.meter_config_request)

    def ask_meter_stats(self, number: int = wire.ALL_METERS) -> Callable[[], list[bytes]]:
        """Ask now what one meter, or every one, has dropped, before anything that is sent from now on is done.

        The answer, for `flows.wire.parse_meter_stats`, is what the function waits for.
        """
        return self._ask("what meters dropped", ofp.OFPMP_METER, partial(wire.meter_stats_request, number))

    def read_groups(self) -> list[bytes]:
        """Every group of the bridge, as `read_flows` does."""
        return self._read("the groups", ofp.OFPMP_GROUP_DESC, wire.group_desc_request)

    def apply(self, before: Sequence[bytes], bundle: Sequence[bytes], after: Sequence[bytes]) -> None:
        """Send `before` plainly, `bundle` as one atomic ordered bundle, `after` plainly; return when all is done.

        SwitchRefusedError names what was refused, by index over before + bundle + after. If one of them is in `before`
        or `bundle`, or none is named, nothing of `bundle` and `after` has been done; the rest of `before` has been.
        HostGoneError leaves open how far it came: read back after the next connect.
        """
        if self._sending is not None:
            raise RuntimeError("one apply at a time: another one is under way on this connection")
        count = len(before) + len(bundle) + len(after)
        if not count:
            return
        self._sending = sent = _Sent(self._xids(count), count)
        try:
            self._write(numbered(before, sent.first))
            if bundle:
                self._apply_bundle(bundle, sent.first + len(before), sent)
            if after or not bundle:
                self._write(numbered(after, sent.first + len(before) + len(bundle)))
                self._confirm(self._begin_barrier(), sent)
        finally:
            self._sending = None

    def close(self, reason: str) -> None:
        """End the connection. Whoever waits for an answer gets HostGoneError with the first reason given."""
        self._channel.close(reason)
        self._wake_all()

    # --------------------------------------------------------------------------------------------------------- asking

    def _xids(self, count: int) -> int:
        """The first of `count` unused xids in a row. 0 is left for what nobody waits for."""
        if self._next_xid + count > _LAST_XID:
            self._next_xid = 1
        first = self._next_xid
        self._next_xid += count
        return first

    def _begin(
        self,
        what: str,
        kind: int,
        request: Callable[[int], bytes],
        consume: Callable[[bytes], None] = lambda _: None,
        part_kind: int = -1,
    ) -> int:
        """Send a request, and give its xid to wait for."""
        self._raise_if_gone()
        xid = self._xids(1)
        self._calls[xid] = _Call(what, kind, consume, part_kind)
        self._channel.outbox.put(request(xid))
        return xid

    def _wait(self, xid: int) -> None:
        """Wait for the answer to the request with this xid; SwitchRefusedError if it is an error."""
        call = self._calls[xid]
        limit_s = self._channel.limits.reply_s
        try:
            if not call.done.wait(limit_s):
                self.close(f"no answer to {call.what} within {limit_s:g} s")
        finally:
            self._calls.pop(xid, None)
        self._raise_unless_answered(call)

    def _raise_unless_answered(self, call: _Call) -> None:
        self._raise_if_gone()
        if call.error is not None:
            raise SwitchRefusedError(f"the switch refused {call.what}: {messages.error_name(call.error)}", ())

    def _raise_if_gone(self) -> None:
        if self.reason is not None:
            raise HostGoneError(f"the OpenFlow connection from {self.peer} has ended: {self.reason}")

    def _read(self, what: str, part_kind: int, request: Callable[[int], bytes]) -> list[bytes]:
        return self._ask(what, part_kind, request)()

    def _ask(self, what: str, part_kind: int, request: Callable[[int], bytes]) -> Callable[[], list[bytes]]:
        """Ask now; the function waits for the answer."""
        bodies: list[bytes] = []
        xid = self._begin(f"a request for {what}", ofp.OFPT_MULTIPART_REPLY, request, bodies.append, part_kind)

        def answer() -> list[bytes]:
            self._wait(xid)
            return bodies

        return answer

    def _begin_barrier(self) -> int:
        return self._begin("a barrier request", ofp.OFPT_BARRIER_REPLY, wire.barrier)

    def _begin_bundle(self, what: str, request: Callable[[int, int], bytes]) -> int:
        """Open, commit or discard the bundle of the present `apply`."""
        bundle = self._bundles
        return self._begin(f"to {what} a bundle", ofp.OFPT_BUNDLE_CONTROL, lambda xid: request(bundle, xid))

    # ------------------------------------------------------------------------------------------------------- applying

    def _write(self, pieces: Iterable[bytes]) -> None:
        """Queue many messages, joined, giving way to the other tasks and to the switch."""
        outbox = self._channel.outbox
        joined: list[bytes] = []
        size = 0
        until = runtime.monotonic() + runtime.SLICE_S
        for piece in pieces:
            joined.append(piece)
            size += len(piece)
            if size >= _WRITE:
                outbox.put(b"".join(joined))
                joined.clear()
                size = 0
                outbox.wait_for_room()
                if runtime.monotonic() >= until:
                    runtime.give_way()
                    until = runtime.monotonic() + runtime.SLICE_S
                self._raise_if_gone()
        if joined:
            outbox.put(b"".join(joined))

    def _apply_bundle(self, bundle: Sequence[bytes], first_xid: int, sent: _Sent) -> None:
        self._bundles += 1
        opened = self._begin_bundle("open", wire.bundle_open)
        self._write(bundled(bundle, self._bundles, first_xid))
        try:
            # A message refused here does not keep the rest from being committed: all must be known good before.
            self._confirm(self._begin_barrier(), sent)
            self._wait(opened)
        except SwitchRefusedError:
            with contextlib.suppress(SwitchRefusedError):
                self._wait(self._begin_bundle("discard", wire.bundle_discard))
            raise
        committed = self._begin_bundle("commit", wire.bundle_commit)
        barrier = self._begin_barrier()
        try:
            self._wait(committed)
        except SwitchRefusedError as error:
            raise self._refused(sent) if sent.refusals else error from error
        self._confirm(barrier, sent)

    def _confirm(self, barrier: int, sent: _Sent) -> None:
        """Wait for a barrier reply; SwitchRefusedError if the switch refused something of what was sent."""
        self._wait(barrier)
        if sent.refusals:
            raise self._refused(sent)

    def _refused(self, sent: _Sent) -> SwitchRefusedError:
        index, kind, code = sent.refusals[0]
        why = f"the switch refused message {index} of {sent.count}: {messages.error_name(Error(kind, code))}"
        if len(sent.refusals) > 1:
            why += f", and {len(sent.refusals) - 1} more"
        return SwitchRefusedError(why, tuple(sent.refusals))

    # ------------------------------------------------------------------------------------------------------ its tasks

    def run(self, context: ssl.SSLContext | None) -> None:
        """The receiving task: from the first byte until the connection has ended. Called once, by the listener."""
        self._channel.outbox.put(messages.hello(self._xids(1)))
        try:
            self._channel.run(context)
        finally:
            self._wake_all()
            self._finished = True
            if self._closed_callback is not None:
                self._closed_callback(self.reason or "")

    def set_up(self) -> None:
        """Return when the bridge and its ports are known. Called once, by the listener, in a task of its own."""
        self._greeted.wait()
        self._raise_if_gone()
        self._channel.outbox.put(messages.async_config(self._xids(1)))
        self._channel.outbox.put(messages.switch_config(self._xids(1)))
        part = ofp.OFPT_MULTIPART_REPLY
        calls = (
            self._begin("a features request", ofp.OFPT_FEATURES_REPLY, messages.features_request, self._features),
            self._begin("a description request", part, messages.description_request, self._described, ofp.OFPMP_DESC),
            self._begin("a port request", part, messages.ports_request, self._learn_ports, ofp.OFPMP_PORT_DESC),
        )
        for xid in calls:
            self._wait(xid)
        self._channel.settle()

    def _wake_all(self) -> None:
        for call in self._calls.values():
            call.done.set()
        self._greeted.set()

    # ------------------------------------------------------------------------------------------------------ receiving

    def _receive(self, message: bytes) -> None:
        if not self._greeted.is_set:
            self._greet(message)
        elif message[0] != VERSION:
            raise MalformedError(f"a message has version {message[0]:#04x} after both agreed on OpenFlow 1.4")
        else:
            handle = self._HANDLERS.get(message[1])
            if handle is None:
                raise MalformedError(f"a switch does not send messages of type {messages.message_name(message[1])}")
            handle(self, message)

    def _greet(self, message: bytes) -> None:
        if message[1] == ofp.OFPT_ERROR:
            raise MalformedError(f"the peer refused our hello: {messages.hello_failure(message)}")
        if message[1] != ofp.OFPT_HELLO:
            raise MalformedError("the first message is no OpenFlow hello")
        versions = messages.hello_versions(message)
        if VERSION not in versions:
            offered = messages.version_names(versions)
            reason = f"the bridge offers OpenFlow {offered}, and 1.4 is needed: add OpenFlow14 to its `protocols`"
            self._channel.close(reason, last_words=messages.hello_failed(reason, 0))
            return
        self._greeted.set()

    def _end_of_batch(self) -> None:
        if self._ports_changed:
            self._ports_changed = False
            if self._ports_callback is not None:
                self._ports_callback()

    def _ignore(self, message: bytes) -> None:
        pass

    def _hello_again(self, message: bytes) -> None:
        raise MalformedError("a second hello")

    def _packet_in(self, message: bytes) -> None:
        in_port, cookie, frame = messages.parse_packet_in(message)
        self.packet_ins += 1
        if self._packet_in_callback is None:
            self.packet_ins_unheard += 1
        else:
            self._packet_in_callback(in_port, cookie, frame)

    def _port_status(self, message: bytes) -> None:
        gone, name, ofport = messages.parse_port_status(message)
        if gone:
            self._forget_port(ofport)
        else:
            self._learn_port(name, ofport)

    def _learn_ports(self, body: bytes) -> None:
        for name, ofport in messages.parse_ports(body):
            self._learn_port(name, ofport)

    def _learn_port(self, name: str, ofport: int) -> None:
        if self._ports.get(name) == ofport:
            return
        self._forget_port(ofport)
        if name in self._ports:
            # A port that comes back with another number may be announced before the old one is said to be gone.
            del self._names[self._ports[name]]
        elif len(self._ports) >= _MOST_PORTS:
            raise MalformedError(f"a bridge has no more than {_MOST_PORTS} ports")
        self._ports[name] = ofport
        self._names[ofport] = name
        self._ports_changed = True

    def _forget_port(self, ofport: int) -> None:
        name = self._names.pop(ofport, None)
        if name is not None:
            del self._ports[name]
            self._ports_changed = True

    def _echo_request(self, message: bytes) -> None:
        if not self._channel.outbox.offer(wire.echo_reply(message[8:], _xid(message))):
            raise MalformedError("the peer asks for echoes and does not read them")

    def _features(self, message: bytes) -> None:
        features = messages.parse_features(message)
        if features.auxiliary:
            raise MalformedError(f"this is auxiliary connection {features.auxiliary}; only main connections are served")
        self.dpid = features.dpid

    def _described(self, body: bytes) -> None:
        self.serial = messages.parse_serial(body)
        self.software = messages.parse_software(body)

    def _answer(self, message: bytes) -> None:
        call = self._calls.get(_xid(message))
        if call is not None and call.kind == message[1] and not call.done.is_set:
            call.consume(message)
            call.done.set()

    def _part(self, message: bytes) -> None:
        part = messages.parse_multipart(message)
        call = self._calls.get(_xid(message))
        if call is None or call.part_kind != part.kind or call.done.is_set:
            return
        call.size += len(message)
        if call.size > self._channel.limits.read_bytes:
            raise MalformedError(f"the answer to {call.what} does not end after {call.size} bytes")
        call.consume(part.body)
        if not part.more:
            call.done.set()

    def _error(self, message: bytes) -> None:
        error = messages.parse_error(message)
        xid = _xid(message)
        call = self._calls.get(xid)
        sent = self._sending
        if call is not None:
            call.error = error
            call.done.set()
        elif sent is not None and 0 <= xid - sent.first < sent.count:
            sent.refusals.append((xid - sent.first, *error))
        else:
            self.unasked_errors += 1
            self.last_unasked_error = messages.error_name(error)

    _HANDLERS: ClassVar[Mapping[int, Callable[[Connection, bytes], None]]] = {
        ofp.OFPT_HELLO: _hello_again,
        ofp.OFPT_ERROR: _error,
        ofp.OFPT_ECHO_REQUEST: _echo_request,
        ofp.OFPT_ECHO_REPLY: _ignore,
        ofp.OFPT_EXPERIMENTER: _ignore,
        ofp.OFPT_FEATURES_REPLY: _answer,
        ofp.OFPT_GET_CONFIG_REPLY: _ignore,
        ofp.OFPT_PACKET_IN: _packet_in,
        ofp.OFPT_FLOW_REMOVED: _ignore,
        ofp.OFPT_PORT_STATUS: _port_status,
        ofp.OFPT_MULTIPART_REPLY: _part,
        ofp.OFPT_BARRIER_REPLY: _answer,
        ofp.OFPT_ROLE_REPLY: _ignore,
        ofp.OFPT_GET_ASYNC_REPLY: _ignore,
        ofp.OFPT_ROLE_STATUS: _ignore,
        ofp.OFPT_TABLE_STATUS: _ignore,
        ofp.OFPT_REQUESTFORWARD: _ignore,
        ofp.OFPT_BUNDLE_CONTROL: _answer,
    }
    """What a switch may say once both have greeted. Anything else is no switch."""


def _xid(message: bytes) -> int:
    return int.from_bytes(message[4:8], "big")
