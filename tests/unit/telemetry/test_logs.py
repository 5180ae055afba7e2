"""Logging: one line an event, whatever is in it."""

import json
import logging
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import pytest

from intellirouter.telemetry import set_up_logging
from intellirouter.telemetry.logs import JsonFormatter, TextFormatter

ours = logging.getLogger("intellirouter.test")


@pytest.fixture(autouse=True)
def _own_logging() -> Iterator[None]:
    root, room = logging.getLogger(), logging.getLogger("intellirouter")
    before = root.handlers[:], root.level, room.level
    yield
    root.handlers[:], level, room_level = before
    root.setLevel(level)
    room.setLevel(room_level)


def json_line(message: str, *arguments: object, **extra: object) -> dict[str, object]:
    record = ours.makeRecord("intellirouter.test", logging.WARNING, "f.py", 1, message, arguments, None, extra=extra)
    text = JsonFormatter().format(record)
    assert "\n" not in text
    line = json.loads(text)
    assert isinstance(line, dict)
    return line


def test_file_name_that_is_not_utf8_is_escaped() -> None:
    assert json_line("The file %s is missing.", "a\udcffb")["message"] == "The file a\udcffb is missing."
    record = ours.makeRecord("intellirouter.test", logging.WARNING, "f.py", 1, "File a\udcffb", (), None)
    assert TextFormatter().format(record).endswith("File a\\udcffb")


def test_json_lines_contain_time_level_logger_and_message() -> None:
    line = json_line("hello %s", "world")
    moment = datetime.fromisoformat(str(line.pop("time")))
    assert moment.utcoffset() is not None
    assert line == {"level": "warning", "logger": "intellirouter.test", "message": "hello world"}


def test_json_lines_contain_the_fields_of_extra() -> None:
    line = json_line("x", request_id="req_1", count=3, path=Path("/a"), odd={"b": Path("c")}, nothing=None)
    assert (line["request_id"], line["count"], line["path"], line["odd"]) == ("req_1", 3, "/a", {"b": "c"})
    assert line["nothing"] is None


def test_json_entry_is_one_line() -> None:
    assert json_line("two\nlines \u2028 \x00")["message"] == "two\nlines \u2028 \x00"


def test_json_lines_contain_the_traceback() -> None:
    try:
        raise ValueError("inner")  # noqa: TRY301
    except ValueError as error:
        record = ours.makeRecord(
            "x", logging.ERROR, "f.py", 1, "it broke", (), (type(error), error, error.__traceback__)
        )
    line = json.loads(JsonFormatter().format(record))
    assert "ValueError: inner" in line["exception"]
    assert "Traceback" in line["exception"]


@pytest.mark.parametrize("style", ["text", "json"])
def test_entries_go_to_standard_error_from_the_level(style: str, capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("info", style)
    ours.debug("too quiet")
    ours.info("just right")
    logging.getLogger("other").info("not ours")
    logging.getLogger("other").warning("theirs")
    out, err = capsys.readouterr()
    assert out == ""
    lines = err.splitlines()
    if style == "json":
        assert [json.loads(line)["message"] for line in lines] == ["just right", "theirs"]
    else:
        assert re.fullmatch(r"\d\d:\d\d:\d\d INFO +just right", lines[0])
        assert re.fullmatch(r"\d\d:\d\d:\d\d WARNING theirs", lines[1])


def test_second_set_up_replaces_the_first(capsys: pytest.CaptureFixture[str]) -> None:
    set_up_logging("debug", "json")
    set_up_logging("error")
    ours.warning("too quiet")
    ours.error("once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def text_entry(message: str, error: BaseException | None = None) -> str:
    info = None if error is None else (type(error), error, error.__traceback__)
    return TextFormatter().format(ours.makeRecord("x", logging.WARNING, "f.py", 1, message, (), info))


def test_text_of_an_upstream_can_neither_control_the_terminal_nor_forge_a_line() -> None:
    entry = text_entry("x\x1b[2J\r\n10:00:00 ERROR   forged\x9b")
    assert entry.endswith("WARNING x\\x1b[2J\\r\\n10:00:00 ERROR   forged\\x9b")


def test_only_a_traceback_takes_more_than_one_line() -> None:
    entry = text_entry("it broke", ValueError("\x1b[31mred"))
    assert entry.splitlines()[-1] == "ValueError: \\x1b[31mred"
    assert len(entry.splitlines()) == 2


def test_json_entry_is_printable() -> None:
    record = ours.makeRecord("x", logging.WARNING, "f.py", 1, "\x9b31m\u202e\u2028", (), None)
    line = JsonFormatter().format(record)
    assert line.isprintable()
    assert json.loads(line)["message"] == "\x9b31m\u202e\u2028"
