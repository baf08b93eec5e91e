# SPDX-License-Identifier: Apache-2.0
"""Actions from text back to values: as dump-flows prints them, and the common other ways to type them."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterator
from typing import Final

from sdnctl.flows import action as act
from sdnctl.flows import notation
from sdnctl.flows.action import Action, Ct, CtNat, Load, SetField
from sdnctl.flows.fields import Field, Notation, Part
from sdnctl.flows.pipeline import Table

_SET_NAMES: Final = {field.name_set: field for field in Field} | {
    field.match_name: field for field in Field if field.match_name not in {"tp_src", "tp_dst", "icmp_type", "icmp_code"}
}  # fmt: skip
_SET_NAMES["in_port"] = Field.IN_PORT
_SET_NAMES["icmp_type"], _SET_NAMES["icmp_code"] = Field.ICMP4_TYPE, Field.ICMP4_CODE
_NXM_NAMES: Final = {field.name_nxm: field for field in Field}


def read_actions(text: str) -> tuple[Action, ...]:
    """The actions in `text`; ValueError names the one that we do not know."""
    if text.strip() in {"", "drop"}:
        return ()
    return tuple(read_action(word) for word in split(text))


def split(text: str) -> Iterator[str]:
    """The parts of `text` between commas that stand in no parentheses or brackets."""
    depth = start = 0
    for at, letter in enumerate(text):
        if letter in "([":
            depth += 1
        elif letter in ")]":
            depth -= 1
        elif letter == "," and not depth:
            yield text[start:at].strip()
            start = at + 1
    if depth:
        raise ValueError(f"{text!r}: a parenthesis is not closed")
    yield text[start:].strip()


def read_action(word: str) -> Action:
    """One action."""
    name, argument = _name_and_argument(word)
    reader = _READERS.get(name.lower())
    try:
        if reader is not None:
            return reader(argument)
        if name.isdecimal() and not argument:
            return act.Output(int(name))
    except ValueError as error:
        raise ValueError(f"{word}: {error}") from None
    raise ValueError(f"{word!r} is no action we know")


def _name_and_argument(word: str) -> tuple[str, str]:
    found = re.fullmatch(r"([\w-]+)(?:\((.*)\)|[:=](.*))?", word)
    if found is None:
        raise ValueError(f"{word!r} is no action")
    return found[1], found[2] if found[2] is not None else found[3] or ""


def _options(argument: str) -> dict[str, str]:
    """`a,b=1,c(d)` as a dictionary."""
    found: dict[str, str] = {}
    for word in split(argument) if argument else ():
        name, value = _name_and_argument(word)
        if name in found:
            raise ValueError(f"{name} stands twice")
        found[name] = value
    return found


def _number(text: str) -> int:
    return int(text, 0)


def _table(text: str) -> int:
    name = text.strip('"').upper()
    return Table[name] if name in Table.__members__ else _number(text)


def _part(text: str) -> Part:
    found = re.fullmatch(r"(\w+)\[(?:(\d+)(?:\.\.(\d+))?)?\]", text)
    field = found and (_NXM_NAMES.get(found[1]) or _SET_NAMES.get(found[1]))
    if not found or not field:
        raise ValueError(f"{text!r} is no part of a field; write e.g. NXM_NX_REG0[0..15]")
    if found[2] is None:
        return Part(field, 0, field.part_bits)
    low = int(found[2])
    return Part(field, low, int(found[3] or low) - low + 1)


def _arrow(argument: str) -> tuple[str, str]:
    left, arrow, right = argument.partition("->")
    if not arrow:
        raise ValueError("lacks -> and what is written")
    return left, right


def _load(argument: str) -> Action:
    value, target = _arrow(argument)
    return Load(_part(target), _number(value))


def _move(argument: str) -> Action:
    source, target = _arrow(argument)
    return act.Move(_part(source), _part(target))


def _set_field(argument: str) -> Action:
    text, name = _arrow(argument)
    if name.endswith("]") and "[" in name:
        return Load(_part(name), _number(text))
    field = _SET_NAMES.get(name)
    if field is None:
        raise ValueError(f"{name!r} is no field that can be set")
    if field.notation in {Notation.HEX4, Notation.DECIMAL}:
        value, slash, bits = text.partition("/")
        return SetField(field, _number(value), _number(bits) if slash else None)
    number, mask = notation.read(field, text)
    return SetField(field, number, None if mask == field.full else mask)


def _set(field: Field) -> Callable[[str], Action]:
    return lambda argument: SetField(field, notation.read(field, argument)[0])


def _output(argument: str) -> Action:
    if "=" in argument:
        options = _options(argument)
        if options.keys() != {"port", "max_len"}:
            raise ValueError("output(...) has port and max_len")
        return act.Truncate(notation.read_port(options["port"]), _number(options["max_len"]))
    port = notation.read_port(argument)
    if port == act.IN_PORT:
        return act.OutputInPort()
    return act.Controller() if port == act.CONTROLLER else act.Output(port)


def _controller(argument: str) -> Action:
    if argument.isdecimal():
        return act.Controller(int(argument))
    options = _options(argument)
    if options.keys() - {"max_len", "userdata"}:
        raise ValueError("controller(...) has max_len and userdata")
    userdata = bytes(int(byte, 16) for byte in options.get("userdata", "").split(".") if byte)
    return act.Controller(_number(options.get("max_len", "65535")), userdata)


def _resubmit(argument: str) -> Action:
    port, comma, table = argument.partition(",")
    if not comma or port:
        raise ValueError("only resubmit(,TABLE), with the port the packet came in on")
    return act.Resubmit(_table(table))


def _clone(argument: str) -> Action:
    if "clone(" in argument:
        raise ValueError("no clone stands inside of another")
    return act.Clone(read_actions(argument))


def _conjunction(argument: str) -> Action:
    found = re.fullmatch(r"(\w+),\s*(\d+)/(\d+)", argument)
    if found is None:
        raise ValueError("conjunction(ID,K/N)")
    return act.Conjunction(_number(found[1]), int(found[2]), int(found[3]))


def _learn(argument: str) -> Action:
    found: dict[str, str] = {}
    same: list[Part] = []
    for word in split(argument):
        name, equals, value = word.partition("=")
        if equals:
            found[name] = value
        else:
            same.append(_part(word))
    if found.keys() - {"table", "idle_timeout", "hard_timeout", "priority", "cookie"}:
        raise ValueError("learn(...) has table, idle_timeout, hard_timeout, priority, cookie and parts of fields")
    return act.Learn(
        _table(found.get("table", "1")),
        _number(found.get("priority", "32768")),
        _number(found.get("cookie", "0")),
        tuple(same),
        _number(found.get("idle_timeout", "0")),
        _number(found.get("hard_timeout", "0")),
    )


_RANGES: Final = (
    re.compile(r"([\d.]+)(?:-([\d.]+))?(?::(\d+)(?:-(\d+))?)?"),
    re.compile(r"(\[[^\]]+\])(?:-(\[[^\]]+\]))?(?::(\d+)(?:-(\d+))?)?"),
    re.compile(r"([^-\[\]]+)(?:-([^-\[\]]+))?()()"),
)
"""Addresses and ports of a translation: IPv4, IPv6 with ports, IPv6 without."""


def _nat(argument: str) -> CtNat:
    options = _options(argument)
    kind = "src" if "src" in options else "dst" if "dst" in options else ""
    flags = frozenset(options.keys() - {"src", "dst"})
    text = options.get(kind, "")
    if not text:
        return CtNat(kind, flags=flags)
    found = next(filter(None, (form.fullmatch(text) for form in _RANGES)), None)
    if found is None:
        raise ValueError(f"{text!r} is no range of addresses and ports; write e.g. 10.0.0.1-10.0.0.9:1024-65535")
    first = ipaddress.ip_address(found[1].strip("[]"))
    last = None if found[2] is None else int(ipaddress.ip_address(found[2].strip("[]")))
    first_port, last_port = (int(text) if text else None for text in (found[3], found[4]))
    return CtNat(kind, int(first), last, first_port, last_port, first.version, flags)


def _ct(argument: str) -> Action:
    options = _options(argument)
    if options.keys() - {"commit", "force", "table", "zone", "nat", "exec"}:
        raise ValueError("ct(...) has commit, force, table, zone, nat and exec")
    zone = options.get("zone", "0")
    if "ct(" in options.get("exec", ""):
        raise ValueError("no ct stands inside of another")
    return Ct(
        _part(zone) if "[" in zone else _number(zone),
        _table(options["table"]) if "table" in options else None,
        commit="commit" in options,
        force="force" in options,
        nat=_nat(options["nat"]) if "nat" in options else None,
        then=read_actions(options.get("exec", "")),
    )


def _alone(action: Action) -> Callable[[str], Action]:
    def reader(argument: str) -> Action:
        if argument:
            raise ValueError(f"takes no argument, and {argument!r} stands there")
        return action

    return reader


_READERS: Final[dict[str, Callable[[str], Action]]] = {
    "output": _output,
    "in_port": _alone(act.OutputInPort()),
    "local": _alone(act.Output(act.LOCAL)),
    "controller": _controller,
    "goto_table": lambda argument: act.Goto(_table(argument)),
    "meter": lambda argument: act.Meter(_number(argument)),
    "group": lambda argument: act.Group(_number(argument)),
    "load": _load,
    "move": _move,
    "set_field": _set_field,
    "mod_dl_src": _set(Field.ETH_SRC),
    "mod_dl_dst": _set(Field.ETH_DST),
    "mod_nw_src": _set(Field.IPV4_SRC),
    "mod_nw_dst": _set(Field.IPV4_DST),
    "push": lambda argument: act.Push(_part(argument)),
    "pop": lambda argument: act.Pop(_part(argument)),
    "push_vlan": lambda argument: act.PushVlan(_number(argument)),
    "pop_vlan": _alone(act.PopVlan()),
    "strip_vlan": _alone(act.PopVlan()),
    "dec_ttl": _alone(act.DecTtl()),
    "resubmit": _resubmit,
    "clone": _clone,
    "conjunction": _conjunction,
    "ct": _ct,
    "learn": _learn,
    "nat": _nat,
    "ct_clear": _alone(act.CtClear()),
}
