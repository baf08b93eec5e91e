# SPDX-License-Identifier: Apache-2.0
"""One event is one line, whatever is in it; secrets and floods stay out."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sdnctl import log, runtime

START = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z (debug  |info   |warning|error  ) \S+  ")


@pytest.fixture(autouse=True)
def _put_back() -> Iterator[None]:
    root, ours = logging.getLogger(), logging.getLogger("sdnctl")
    before = (root.level, ours.level, logging.raiseExceptions, root.handlers[:])
    yield
    root.setLevel(before[0])
    ours.setLevel(before[1])
    logging.raiseExceptions = before[2]
    root.handlers[:] = before[3]


def configured(level: str = "info", form: str = "text") -> io.StringIO:
    stream = io.StringIO()
    log.configure(level, form, stream)
    # This file is outside the package; its events would be a stranger's.
    logging.getLogger(__name__).setLevel(log.LEVELS[level])
    return stream


def text_of(event: str, **fields: object) -> str:
    stream = configured()
    log.info(event, **fields)
    return stream.getvalue().removesuffix("\n").split(" ", 1)[1].strip()


def json_of(event: str, **fields: object) -> dict[str, object]:
    stream = configured(form="json")
    log.info(event, **fields)
    found: dict[str, object] = json.loads(stream.getvalue())
    return found


def test_an_event_reads_like_this() -> None:
    assert text_of("bundle applied", host="h1", put=12, ok=True).endswith(
        "test_log  bundle applied  host=h1 put=12 ok=True"
    )
    assert text_of("idle").endswith("test_log  idle")


def test_json_keeps_numbers_and_loses_no_field() -> None:
    found = json_of("bundle applied", host="h1", put=12, ok=True, level="x")
    assert found["event"] == "bundle applied"
    assert (found["host"], found["put"], found["ok"]) == ("h1", 12, True)
    assert (found["level"], found["level_"]) == ("info", "x")


@pytest.mark.parametrize(
    ("value", "shown"),
    (
        ("plain", "x=plain"),
        ("", 'x=""'),
        ("two words", 'x="two words"'),
        ('a="b"', 'x="a=\\"b\\""'),
        ("back\\slash", 'x="back\\\\slash"'),
        ("line\nbreak", 'x="line\\nbreak"'),
        ("\x1b[2Jclear", 'x="\\x1b[2Jclear"'),
        ("\u2028\u202e", 'x="\\u2028\\u202e"'),
        ("\udc80", 'x="\\udc80"'),
        ("größe", "x=größe"),
        (None, "x=None"),
        (b"\x00", "x=\"b'\\\\x00'\""),
    ),
)
def test_values_cannot_break_out_of_their_place(value: object, shown: str) -> None:
    assert text_of("e", x=value).endswith(f"  e  {shown}")


@given(st.text(), st.dictionaries(st.text(min_size=1), st.text() | st.binary() | st.integers()), st.text())
def test_whatever_is_logged_is_one_line(event: str, fields: dict[str, object], problem: str) -> None:
    """Nothing in an event, a field's name, its value or an exception starts a line that could pass for an event."""
    fields = {name: value for name, value in fields.items() if name != "event"}
    stream = configured()
    try:
        raise ValueError(problem)
    except ValueError:
        log.exception(event, **fields)
    first, *rest = stream.getvalue().removesuffix("\n").split("\n")
    assert START.match(first)
    assert first.isprintable()
    assert all(line.startswith("    | ") and line.isprintable() for line in rest)
    stream = configured(form="json")
    log.info(event, **fields)
    assert stream.getvalue().count("\n") == 1
    json.loads(stream.getvalue())


def test_a_library_logs_in_the_same_form_and_less() -> None:
    stream = configured()
    logging.getLogger("os_ken.base").info("hello")
    logging.getLogger("os_ken.base").warning("unknown version %s", "4\n2026-01-01 error forged")
    assert stream.getvalue().split(" ", 1)[1] == ("warning os_ken.base  unknown version 4\\n2026-01-01 error forged\n")
    stream = configured("debug")
    logging.getLogger("os_ken.base").info("hello")
    assert "hello" in stream.getvalue()


def test_a_message_whose_arguments_do_not_fit_is_still_written() -> None:
    stream = configured()
    logging.getLogger("eventlet").warning("%d %d", "one")  # noqa: PLE1206  (that is the case)
    assert "%d %d" in stream.getvalue()


class Grumpy:
    def __str__(self) -> str:
        raise RuntimeError("no")


def test_a_value_without_text_is_still_written() -> None:
    assert text_of("e", x=Grumpy()).endswith('x="<Grumpy without text>"')


def test_lengths_are_bounded() -> None:
    line = text_of("e" * 5000, x="y" * 10_000_000, **{f"f{n}": n for n in range(100)})
    assert len(line) < 2500
    assert "x=" + "y" * (log.LONGEST_VALUE - 1) + "… " in line
    assert line.endswith("dropped=71")


def test_a_deep_traceback_is_cut_to_its_end() -> None:
    def dig(depth: int) -> None:
        if not depth:
            raise ValueError("the end")
        other(depth - 1)

    def other(depth: int) -> None:
        # Calls in turns: Python writes "[Previous line repeated ...]" for a function that calls itself.
        dig(depth)

    stream = configured()
    try:
        dig(200)
    except ValueError:
        log.exception("fell")
    lines = stream.getvalue().splitlines()
    assert len(lines) <= 1 + log.MOST_TRACE_LINES
    assert lines[-1] == "    | ValueError: the end"


@pytest.mark.parametrize(
    ("fields", "shown"),
    (
        ({"token": "abc"}, "token=***"),
        ({"admin_password": "abc"}, "admin_password=***"),
        ({"secret": ["a", "b"]}, "secret=***"),
        ({"secret": 5}, "secret=***"),
        ({"token": None}, "token=None"),
        ({"url": "postgresql://sdnctl:hunter2@db/x"}, "url=postgresql://sdnctl:***@db/x"),
        ({"request": "X-Auth-Token: abc; next"}, 'request="X-Auth-Token: ***; next"'),
        ({"body": '{"secret": "abc", "name": "n"}'}, 'body="{\\"secret\\": \\"***\\", \\"name\\": \\"n\\"}"'),
        ({"header": "Authorization: Bearer abc"}, 'header="Authorization: Bearer ***"'),
        ({"value": "sdnctl_" + "Yo3uh1tkrn32_qGtkxdeVy-9b9BRU"}, "value=***"),
        ({"value": "gAAAAABk" + "x" * 100}, "value=***"),
    ),
)
def test_secrets_are_hidden(fields: dict[str, object], shown: str) -> None:
    assert text_of("e", **fields).endswith(f"  e  {shown}")
    assert "abc" not in json.dumps(json_of("e", **fields))
    assert "hunter2" not in json.dumps(json_of("e", **fields))


def test_a_secret_in_a_traceback_is_hidden() -> None:
    stream = configured()
    try:
        raise ValueError("cannot reach postgresql://u:hunter2@db/x")
    except ValueError:
        log.exception("no database")
    assert "hunter2" not in stream.getvalue()
    assert "postgresql://u:***@db/x" in stream.getvalue()


def test_context_is_the_tasks_own() -> None:
    """Two requests at once on the hub do not mix their ids."""
    stream = configured()

    def request(name: str) -> None:
        with log.context(request=name):
            runtime.give_way()
            log.info("asked")
        log.info("left")

    for task in [runtime.spawn(request, "r1"), runtime.spawn(request, "r2")]:
        task.join()
    events = [line.split("test_log  ", 1)[1] for line in stream.getvalue().splitlines()]
    assert sorted(events) == ["asked  request=r1", "asked  request=r2", "left", "left"]


def test_level() -> None:
    stream = configured("warning")
    log.debug("no")
    log.info("no")
    log.warning("yes")
    log.error("yes")
    assert [line.split()[1] for line in stream.getvalue().splitlines()] == ["warning", "error"]


def test_configuring_twice_does_not_double() -> None:
    configured()
    stream = configured()
    log.info("once")
    assert len(stream.getvalue().splitlines()) == 1
