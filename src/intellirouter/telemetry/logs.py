"""Sets up logging to standard error: one line per entry, as text for people or as JSON for machines."""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import Any, TextIO

import msgspec

from intellirouter.core import escape_control_characters, escape_control_characters_in_json
from intellirouter.telemetry.descriptors import DescriptorWriter

_STANDARD_FIELDS = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """Formats entries as one JSON object per line: time, level, logger, message and the fields of `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        line.update({key: value for key, value in record.__dict__.items() if key not in _STANDARD_FIELDS})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        try:
            text = msgspec.json.encode(line, enc_hook=str).decode()
        except UnicodeEncodeError:  # a file name that is not UTF-8
            text = json.dumps(line, default=str)
        return escape_control_characters_in_json(text)


class TextFormatter(logging.Formatter):
    """Formats entries as lines for people. Texts of other machines can neither control the terminal nor begin a line.

    Only a traceback takes more than one line.
    """

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)-7s %(message)s", "%H:%M:%S")

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the name of the base class
        record.message = escape_control_characters(record.message)
        return super().formatMessage(record)

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name of the base class
        return escape_control_characters(super().formatException(ei), keeps_lines=True)


def set_up_logging(level: str, style: str = "text") -> None:
    """Log to standard error: entries of the gateway from `level`, those of libraries from warning.

    Logging never waits for the reader of standard error.
    """
    handler = logging.StreamHandler(_standard_error())
    handler.setFormatter(JsonFormatter() if style == "json" else TextFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("intellirouter").setLevel(level.upper())


def _standard_error() -> TextIO | DescriptorWriter:
    try:
        return DescriptorWriter(sys.stderr.fileno())
    except (AttributeError, OSError, ValueError):  # It is closed, or not a descriptor.
        return sys.stderr
