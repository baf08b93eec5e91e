# SPDX-License-Identifier: Apache-2.0
"""What the value of an attribute may be: small types that check, normalise and describe.

A type does four things with one definition:

    parse(value, where)      a JSON value from a body -> the value we keep; InvalidError names `where`, why, and what
                             would be right
    from_text(text, where)   the same from one word of a command line or a query
    term(text, where)        what a filter `?attribute=text` compares with
    schema()                 its JSON schema, for OpenAPI

and has a `metavar`, the word that stands for it in help texts. Types are lenient exactly where the Networking API is:
booleans take 0/1 and "true", integers take strings of digits. They know nothing of other attributes or other objects;
whatever needs those is the store's to check. Values stay plain JSON (strings, not address objects), so that the command
line can use this module without the server.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
import typing
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from sdnctl.errors import InvalidError
from sdnctl.model import ip_protocols

Schema = dict[str, object]

NAME_LIMIT: Final = 255
"""Longest text the API takes, where nothing else is said."""

_SHOWN: Final = 80
"""A refused value is repeated up to this length."""
_MAC_DIGITS: Final = 12
_DEEPEST: Final = 8
_PREFIX_LONGEST: Final = 49
_PROTOCOL_DIGITS: Final = 3
_PROTOCOL_MOST: Final = 255
_TRUE: Final = frozenset({"true", "1", "yes", "on"})
_FALSE: Final = frozenset({"false", "0", "no", "off"})
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}")
_MAC: Final = re.compile(r"[0-9a-fA-F]{2}(?:([:-])[0-9a-fA-F]{2})(?:\1[0-9a-fA-F]{2}){4}|[0-9a-fA-F]{12}")
_INTEGER: Final = re.compile(r"[+-]?[0-9]{1,20}")


def refuse(where: str, value: object, because: str) -> InvalidError:
    """The error that says which field, what was sent, and what would be right."""
    return InvalidError(f"Invalid input for {where}: {_shown(value)} {because}.")


def _shown(value: object) -> str:
    """A refused value in a message: recognisable, however large it is."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return ascii(value) if len(value) <= _SHOWN else f"{value[:_SHOWN]!a}..."
        case list():
            return f"a list of {len(value)}"
        case dict():
            return "an object"
    return str(value)[:_SHOWN]


def nearest(name: str, known: Iterable[str]) -> str:
    """` (did you mean 'x'?)`, or nothing when no known name is close."""
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.6)
    return f" (did you mean '{close[0]}'?)" if close else ""


class Type(typing.Protocol):
    """What a value may be."""

    @property
    def metavar(self) -> str:
        """The word for such a value in help texts."""

    def parse(self, value: object, where: str) -> object:
        """`value` as we keep it; InvalidError if it may not be."""

    def schema(self) -> Schema:
        """JSON schema of what `parse` takes."""

    def from_text(self, text: str, where: str) -> object:
        """The value that `text` stands for on a command line."""
        return self.parse(text, where)

    def term(self, text: str, where: str) -> object:
        """The value a filter compares with. Text that could never be one is kept: it finds nothing."""
        try:
            return self.from_text(text, where)
        except InvalidError:
            return text


def plain_text(value: object, where: str) -> str:
    """`value` if it is text that every database and every terminal of ours can hold."""
    if not isinstance(value, str):
        raise refuse(where, value, "is not a string")
    if "\0" in value:
        raise refuse(where, value, "contains a NUL character")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise refuse(where, value, "contains half of a surrogate pair") from None
    return value


@dataclass(frozen=True, slots=True)
class Text(Type):
    """Text of `shortest` to `longest` characters; `pattern` must match all of it, `means` says that in words."""

    longest: int = NAME_LIMIT
    shortest: int = 0
    pattern: str = ""
    means: str = ""
    metavar: str = "TEXT"

    def parse(self, value: object, where: str) -> str:
        text = plain_text(value, where)
        if len(text) > self.longest:
            raise refuse(where, text, f"has {len(text)} characters; at most {self.longest} are allowed")
        if len(text) < self.shortest:
            raise refuse(where, text, f"is too short; at least {self.shortest} characters are needed")
        if self.pattern and re.fullmatch(self.pattern, text) is None:
            raise refuse(where, text, f"is not {self.means}")
        return text

    def schema(self) -> Schema:
        schema: Schema = {"type": "string", "maxLength": self.longest}
        if self.shortest:
            schema["minLength"] = self.shortest
        if self.pattern:
            schema["pattern"] = f"^(?:{self.pattern})$"
        return schema


@dataclass(frozen=True, slots=True)
class Boolean(Type):
    """true or false; also "true", "False", 0, 1."""

    metavar: str = "BOOLEAN"

    def parse(self, value: object, where: str) -> bool:
        if isinstance(value, bool):
            return value
        if isinstance(value, int | str):
            word = str(value).lower()
            if word in _TRUE:
                return True
            if word in _FALSE:
                return False
        raise refuse(where, value, "is not a boolean; use true or false")

    def term(self, text: str, where: str) -> bool:
        return self.parse(text, where)

    def schema(self) -> Schema:
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Integer(Type):
    """A whole number in [`least`, `most`]; also a string of digits."""

    least: int = 0
    most: int = 2**31 - 1
    metavar: str = "NUMBER"

    def parse(self, value: object, where: str) -> int:
        if isinstance(value, str) and _INTEGER.fullmatch(value):
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not self.least <= value <= self.most:
            raise refuse(where, value, f"is not an integer from {self.least} to {self.most}")
        return value

    def term(self, text: str, where: str) -> int:
        if not _INTEGER.fullmatch(text) or abs(int(text)) >= 2**63:
            raise refuse(where, text, "is not an integer")
        return int(text)

    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}


@dataclass(frozen=True, slots=True)
class Choice(Type):
    """One of a few values, all strings or all integers."""

    values: tuple[str, ...] | tuple[int, ...]

    @property
    def metavar(self) -> str:
        return "|".join(map(str, self.values))

    def parse(self, value: object, where: str) -> str | int:
        for allowed in self.values:
            if not isinstance(value, bool) and (value == allowed or value == str(allowed)):
                return allowed
        raise refuse(where, value, f"is not one of {', '.join(map(str, self.values))}")

    def schema(self) -> Schema:
        kind = "integer" if isinstance(self.values[0], int) else "string"
        return {"type": kind, "enum": list(self.values)}


@dataclass(frozen=True, slots=True)
class Uuid(Type):
    """An object's id."""

    metavar: str = "ID"

    def parse(self, value: object, where: str) -> str:
        if not isinstance(value, str) or _UUID.fullmatch(value) is None:
            raise refuse(where, value, "is not a UUID")
        return value.lower()

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^{_UUID.pattern}$"}


@dataclass(frozen=True, slots=True)
class Mac(Type):
    """The MAC address of one station, kept as aa:bb:cc:dd:ee:ff."""

    metavar: str = "MAC"

    def parse(self, value: object, where: str) -> str:
        if not isinstance(value, str) or _MAC.fullmatch(value) is None:
            raise refuse(where, value, "is not a MAC address; write one like fa:16:3e:01:02:03")
        digits = re.sub("[:-]", "", value).lower()
        if digits == "0" * _MAC_DIGITS:
            raise refuse(where, value, "is no station's MAC address: all zero")
        if int(digits[1], 16) & 1:
            raise refuse(where, value, "is a multicast MAC address; one station's address has an even first byte")
        return ":".join(digits[at : at + 2] for at in range(0, _MAC_DIGITS, 2))

    def schema(self) -> Schema:
        return {"type": "string", "pattern": f"^(?:{_MAC.pattern})$"}


@dataclass(frozen=True, slots=True)
class Address(Type):
    """An IP address; `version` 4 or 6 asks for that one, 0 takes both."""

    version: int = 0
    metavar: str = "ADDRESS"

    def parse(self, value: object, where: str) -> str:
        kind = f"IPv{self.version} address" if self.version else "IP address"
        example = {4: "192.0.2.5", 6: "2001:db8::5"}.get(self.version, "192.0.2.5 or 2001:db8::5")
        try:
            address = ipaddress.ip_address(value if isinstance(value, str) and "%" not in value else "")
        except ValueError:
            raise refuse(where, value, f"is not an {kind}; write one like {example}") from None
        if self.version not in (0, address.version):
            raise refuse(where, value, f"is not an {kind}; write one like {example}")
        return str(address)

    def schema(self) -> Schema:
        formats: list[Schema] = [{"type": "string", "format": f"ipv{v}"} for v in (4, 6) if self.version in (0, v)]
        return formats[0] if len(formats) == 1 else {"anyOf": formats}


@dataclass(frozen=True, slots=True)
class Cidr(Type):
    """A prefix. Host bits are cleared (10.6.0.7/24 is 10.6.0.0/24).

    With `or_address` one address may stand for its prefix, and is kept as it was: without a length.
    """

    or_address: bool = False
    metavar: str = "CIDR"

    def parse(self, value: object, where: str) -> str:
        remedy = "write one like 192.0.2.0/24 or 2001:db8::/64"
        if not isinstance(value, str) or "%" in value:
            raise refuse(where, value, f"is not a CIDR; {remedy}")
        address, slash, length = value.partition("/")
        if not slash and not self.or_address:
            raise refuse(where, value, f"has no prefix length; {remedy}")
        if slash and not (length.isascii() and length.isdigit()):
            raise refuse(where, value, f"has no number as prefix length; {remedy}")
        try:
            return str(ipaddress.ip_network(value, strict=False)) if slash else str(ipaddress.ip_address(address))
        except ValueError:
            raise refuse(where, value, f"is not a CIDR; {remedy}") from None

    def schema(self) -> Schema:
        return {"type": "string", "format": "cidr-or-address" if self.or_address else "cidr", "maxLength": 49}


@dataclass(frozen=True, slots=True)
class Prefix(Type):
    """A prefix kept as it was sent, host bits and all; a single address gets the length of one."""

    metavar: str = "CIDR"

    def parse(self, value: object, where: str) -> str:
        prefix = Cidr(or_address=True).parse(value, where)
        text = str(value)
        if len(text) > _PREFIX_LONGEST:
            raise refuse(where, value, f"has {len(text)} characters; at most {_PREFIX_LONGEST} are allowed")
        if "/" in text:
            return text.lower()
        return f"{prefix}/{128 if ':' in prefix else 32}"

    def schema(self) -> Schema:
        return Cidr(or_address=True).schema()


@dataclass(frozen=True, slots=True)
class Protocol(Type):
    """An IP protocol by name or number, kept as given; `any` is null."""

    metavar: str = "PROTOCOL"

    def parse(self, value: object, where: str) -> str | None:
        text = str(value).lower() if isinstance(value, str | int) and not isinstance(value, bool) else ""
        if text == "any":
            return None
        if text in ip_protocols.NUMBERS:
            return text
        if text.isascii() and text.isdigit() and len(text) <= _PROTOCOL_DIGITS and int(text) <= _PROTOCOL_MOST:
            return str(int(text))
        names = ", ".join(ip_protocols.NUMBERS)
        raise refuse(
            where, value, f"is no IP protocol{nearest(text, ip_protocols.NUMBERS)}; give 0 to 255 or one of {names}"
        )

    def schema(self) -> Schema:
        return {"anyOf": [{"type": "string", "maxLength": 16}, {"type": "integer", "minimum": 0, "maximum": 255}]}


@dataclass(frozen=True, slots=True)
class OrNull(Type):
    """Also null, which is kept as `null`."""

    type: Type
    null: object = None

    @property
    def metavar(self) -> str:
        return self.type.metavar

    def parse(self, value: object, where: str) -> object:
        return self.null if value is None else self.type.parse(value, where)

    def from_text(self, text: str, where: str) -> object:
        return self.type.from_text(text, where)

    def term(self, text: str, where: str) -> object:
        return self.type.term(text, where)

    def schema(self) -> Schema:
        return {"anyOf": [self.type.schema(), {"type": "null"}]}


@dataclass(frozen=True, slots=True)
class ListOf(Type):
    """A list. On a command line and in a query each word is one item."""

    item: Type
    longest: int = 1000
    unique: bool = False

    @property
    def metavar(self) -> str:
        return self.item.metavar

    def parse(self, value: object, where: str) -> list[object]:
        if not isinstance(value, list):
            raise refuse(where, value, "is not a list")
        if len(value) > self.longest:
            raise InvalidError(f"Invalid input for {where}: {len(value)} items; at most {self.longest} are allowed.")
        items = [self.item.parse(item, f"{where}[{index}]") for index, item in enumerate(value)]
        if self.unique:
            for index, item in enumerate(items):
                if item in items[:index]:
                    raise refuse(f"{where}[{index}]", item, "stands there twice")
        return items

    def from_text(self, text: str, where: str) -> list[object]:
        return [self.item.from_text(text, where)]

    def term(self, text: str, where: str) -> object:
        return self.item.term(text, where)

    def schema(self) -> Schema:
        schema: Schema = {"type": "array", "items": self.item.schema(), "maxItems": self.longest}
        if self.unique:
            schema["uniqueItems"] = True
        return schema


@dataclass(frozen=True, slots=True)
class Field:
    """One key of a Record. `default` stands for it when it is absent; without one it stays absent."""

    name: str
    type: Type
    required: bool = False
    default: object = None
    help: str = ""


@dataclass(frozen=True, slots=True)
class Record(Type):
    """An object with the keys of `fields` and no others; as one word: `key=value,key=value`."""

    fields: tuple[Field, ...]

    @property
    def metavar(self) -> str:
        return ",".join(f"{field.name}={field.type.metavar}" for field in self.fields)

    def parse(self, value: object, where: str) -> dict[str, object]:
        names = [field.name for field in self.fields]
        if not isinstance(value, dict):
            raise refuse(where, value, f"is not an object with {', '.join(names)}")
        for name in value:
            if name not in names:
                raise InvalidError(f"Invalid input for {where}: unknown key {name!r}{nearest(str(name), names)}.")
        record: dict[str, object] = {}
        for field in self.fields:
            if field.name in value:
                record[field.name] = field.type.parse(value[field.name], f"{where}.{field.name}")
            elif field.required:
                raise InvalidError(f"Invalid input for {where}: {field.name} is missing.")
            elif field.default is not None:
                record[field.name] = field.default
        return record

    def from_text(self, text: str, where: str) -> dict[str, object]:
        names = "|".join(re.escape(field.name).replace("_", "[-_]") for field in self.fields)
        types = {field.name: field.type for field in self.fields}
        record: dict[str, object] = {}
        for word in re.split(f",(?=(?:{names})=)", text):
            key, equals, content = word.partition("=")
            name = key.replace("-", "_")
            if not equals or name not in types:
                raise refuse(where, word, f"is not of the form {self.metavar}{nearest(name, types)}")
            record[name] = types[name].from_text(content, f"{where}.{name}")
        return self.parse(record, where)

    def term(self, text: str, where: str) -> object:
        return text

    def schema(self) -> Schema:
        schema: Schema = {
            "type": "object",
            "properties": {field.name: field.type.schema() for field in self.fields},
            "additionalProperties": False,
        }
        required = [field.name for field in self.fields if field.required]
        if required:
            schema["required"] = required
        return schema


@dataclass(frozen=True, slots=True)
class MapOf(Type):
    """An object with free keys and values of one type; as one word: `key:value`."""

    key: Type
    value: Type
    longest: int = 100

    @property
    def metavar(self) -> str:
        return f"{self.key.metavar}:{self.value.metavar}"

    def parse(self, value: object, where: str) -> dict[str, object]:
        if not isinstance(value, dict):
            raise refuse(where, value, "is not an object")
        if len(value) > self.longest:
            raise InvalidError(f"Invalid input for {where}: {len(value)} keys; at most {self.longest} are allowed.")
        parsed: dict[str, object] = {}
        for key, content in value.items():
            name = str(self.key.parse(key, f"a key of {where}"))
            parsed[name] = self.value.parse(content, f"{where}.{name}")
        return parsed

    def from_text(self, text: str, where: str) -> dict[str, object]:
        key, colon, content = text.partition(":")
        if not colon:
            raise refuse(where, text, f"is not of the form {self.metavar}")
        return self.parse({key: self.value.from_text(content, where)}, where)

    def term(self, text: str, where: str) -> object:
        return text

    def schema(self) -> Schema:
        return {"type": "object", "additionalProperties": self.value.schema(), "maxProperties": self.longest}


@dataclass(frozen=True, slots=True)
class Json(Type):
    """Any JSON value of at most `longest` characters, kept as it is."""

    longest: int = 4095
    metavar: str = "JSON"

    def parse(self, value: object, where: str) -> object:
        size = _json_size(value, where, _DEEPEST)
        if size > self.longest:
            raise InvalidError(
                f"Invalid input for {where}: about {size} characters; at most {self.longest} are allowed."
            )
        return value

    def schema(self) -> Schema:
        return {}


def _json_size(value: object, where: str, depth: int) -> int:
    """About how long `value` is as JSON; InvalidError for text we cannot keep and for nesting beyond `depth`."""
    if depth == 0:
        raise InvalidError(f"Invalid input for {where}: nested more than {_DEEPEST} levels deep.")
    if isinstance(value, str):
        return len(plain_text(value, where)) + 2
    if isinstance(value, Mapping):
        return 2 + sum(
            len(plain_text(key, where)) + 4 + _json_size(content, f"{where}.{key}", depth - 1)
            for key, content in value.items()
        )
    if isinstance(value, list):
        return 2 + sum(2 + _json_size(item, where, depth - 1) for item in value)
    return len(str(value))
