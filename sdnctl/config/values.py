# SPDX-License-Identifier: Apache-2.0
"""What options are made of, and how their text is read.

Every reader takes the text of one item and returns a value, or raises ValueError with one sentence: what is wrong and
what would be right. Readers say nothing of options and sources; whoever calls them does.
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

T = TypeVar("T")

MIN_MTU: Final = 576
MAX_MTU: Final = 65535
MAX_VNI: Final = 2**24 - 1
MAX_VLAN: Final = 4094


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """How an option's text is called in help, and read."""

    metavar: str
    read: Callable[[str], T]


class AuthMode(enum.StrEnum):
    """How the REST API knows who asks."""

    NONE = "none"
    TOKEN = "token"  # noqa: S105  (the name of a mode)
    KEYSTONE = "keystone"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An address and a TCP port to listen on; port 0 takes a free one."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        return is_loopback(self.host)


@dataclass(frozen=True, slots=True)
class IdRange:
    """Segmentation ids from `first` to `last`, both included."""

    first: int
    last: int

    def __str__(self) -> str:
        return f"{self.first}:{self.last}"


@dataclass(frozen=True, slots=True)
class VlanRange:
    """A physical network that carries VLANs, and the tags to allot there; None: only tags that an admin names."""

    physical_network: str
    tags: IdRange | None = None

    def __str__(self) -> str:
        return self.physical_network if self.tags is None else f"{self.physical_network}:{self.tags}"


@dataclass(frozen=True, slots=True)
class PhysicalMtu:
    """The MTU of a physical network."""

    physical_network: str
    mtu: int

    def __str__(self) -> str:
        return f"{self.physical_network}:{self.mtu}"


@dataclass(frozen=True, slots=True)
class Target:
    """An OpenFlow or OVSDB address in Open vSwitch's notation."""

    kind: str
    """`tcp`, `ssl` or `unix`."""
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        return f"unix:{self.path}" if self.kind == "unix" else f"{self.kind}:{Endpoint(self.host, self.port)}"


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_wildcard(host: str) -> bool:
    """0.0.0.0 or ::, which is every address of this machine and none to connect to."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return False


# ------------------------------------------------------------------------------------------------- numbers and words


def whole(text: str, first: int, last: int, what: str = "a whole number") -> int:
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not first <= int(text) <= last:
        raise ValueError(f"{text!r} is not {what} from {first} to {last}")
    return int(text)


def number(first: int, last: int) -> Callable[[str], int]:
    return lambda text: whole(text, first, last)


def choice(*words: str) -> Callable[[str], str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError(f"{text!r} is none of {', '.join(words)}")
        return text

    return read


def auth_mode(text: str) -> AuthMode:
    return AuthMode(choice(*AuthMode)(text))


def path(text: str) -> str:
    if not text or "\0" in text:
        raise ValueError("an empty path; name a file")
    return text


def plain(text: str) -> str:
    return text


# --------------------------------------------------------------------------------------------- addresses and targets

_HOST_PORT: Final = re.compile(r"(?:\[(?P<six>[0-9A-Za-z:.%]+)\]|(?P<host>[^\[\]:\s/]+)):(?P<port>[0-9]+)")
_NAME: Final = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*\.?")


def endpoint(text: str, example: str = "127.0.0.1:9696") -> Endpoint:
    """HOST:PORT, with an IPv6 address in brackets."""
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError(f"{text!r} is not HOST:PORT (an IPv6 address goes in brackets); write for example {example}")
    host = found["six"] or found["host"]
    if found["six"] is not None or re.fullmatch(r"[0-9.]+", host):
        try:
            host = str(ipaddress.ip_address(host))
        except ValueError:
            raise ValueError(f"{host!r} in {text!r} is not an IP address; write for example {example}") from None
    elif not _NAME.fullmatch(host):
        raise ValueError(f"{host!r} in {text!r} is neither an IP address nor a host name; write for example {example}")
    return Endpoint(host, whole(found["port"], 0, 65535, "a port number"))


def target(text: str) -> Target:
    """An address in Open vSwitch's notation."""
    kind, _, rest = text.partition(":")
    if kind == "unix":
        # The kernel keeps 108 bytes for the path of a socket, its end included.
        if not rest.startswith("/") or "\0" in rest or len(rest.encode()) > 107:
            raise ValueError(f"{text!r} needs an absolute path of at most 107 bytes, as unix:/run/sdnctl/openflow.sock")
        return Target("unix", path=rest)
    if kind not in {"tcp", "ssl"} or not rest:
        raise ValueError(f"{text!r} is none of tcp:HOST:PORT, ssl:HOST:PORT, unix:PATH")
    at = endpoint(rest, f"{kind}:0.0.0.0:6653")
    return Target(kind, host=at.host, port=at.port)


def listening_target(text: str) -> str:
    return str(target(text))


def reachable_target(text: str) -> str:
    """A target that can be connected to."""
    found = target(text)
    if found.kind != "unix" and (is_wildcard(found.host) or not found.port):
        raise ValueError(f"{text!r} cannot be connected to; name an address and a port that the hosts can reach")
    return str(found)


def url(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s/]+\S*", text):
        raise ValueError(f"{text!r} is no URL, for example https://keystone.example.org:5000/v3")
    return text.rstrip("/")


def database(text: str) -> str:
    if re.fullmatch(r"sqlite(\+\w+)?:///.+|postgresql(\+\w+)?://\S+", text):
        return text
    raise ValueError(
        f"{without_password(text)!r} is no database we know; write sqlite:////absolute/path.db "
        "or postgresql://USER:PASSWORD@HOST/DATABASE"
    )


def without_password(text: str) -> str:
    """`text`, the password of a URL in it hidden."""
    return re.sub(r"(://[^:/@\s]*:)[^@\s]*@", r"\1***@", text)


# ----------------------------------------------------------------------------------------------------------- networks


def id_range(text: str, last: int, what: str) -> IdRange:
    first_text, colon, last_text = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not FIRST:LAST, for example 1:{last}")
    ids = IdRange(whole(first_text, 1, last, what), whole(last_text, 1, last, what))
    if ids.first > ids.last:
        raise ValueError(f"{text!r} ends before it begins; write {ids.last}:{ids.first}")
    return ids


def vni_range(text: str) -> IdRange:
    return id_range(text, MAX_VNI, "a VNI")


def physical_network(text: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", text):
        raise ValueError(
            f"{text!r} is no name for a physical network: up to 64 letters, digits, dots, dashes and underscores, "
            "a letter or digit first"
        )
    return text


def flat_network(text: str) -> str:
    """A physical network, or `*` for any."""
    return text if text == "*" else physical_network(text)


def vlan_range(text: str) -> VlanRange:
    name, colon, tags = text.partition(":")
    if colon and ":" not in tags:
        raise ValueError(f"{text!r} is neither PHYSNET:FIRST:LAST nor PHYSNET, for example physnet1:100:199")
    return VlanRange(physical_network(name), id_range(tags, MAX_VLAN, "a VLAN id") if colon else None)


def physical_mtu(text: str) -> PhysicalMtu:
    name, colon, mtu = text.partition(":")
    if not colon:
        raise ValueError(f"{text!r} is not PHYSNET:MTU, for example physnet1:9000")
    return PhysicalMtu(physical_network(name), whole(mtu, MIN_MTU, MAX_MTU, "an MTU"))


def tenant_type(text: str) -> str:
    if text not in {"vxlan", "vlan"}:
        raise ValueError(f"{text!r} is none of vxlan, vlan, the types whose segments can be allotted")
    return text


def mac_prefix(text: str) -> str:
    if not re.fullmatch(r"[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){2}", text):
        raise ValueError(f"{text!r} is not the first three bytes of a MAC address, for example fa:16:3e")
    if int(text[:2], 16) & 1:
        raise ValueError(f"{text!r} would make multicast addresses; the first byte must be even, for example fa:16:3e")
    return text.lower()


def domain(text: str) -> str:
    name = text.removesuffix(".").lower()
    labels_are_right = all(re.fullmatch(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", label) for label in name.split("."))
    if len(name) > 200 or not labels_are_right:
        raise ValueError(f"{text!r} is no domain name, for example cloud.example.org")
    return name
