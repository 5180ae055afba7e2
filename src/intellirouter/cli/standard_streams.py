"""Standard input, output and error of the process: encodings that cannot fail, and closed or full outputs.

`set_up_streams` replaces `sys.stdout` and `sys.stderr`. A character that the encoding of the terminal lacks is replaced
or escaped. What cannot be written raises `OutputError`, which `app.run` reports in one line.
"""

import codecs
import errno
import io
import os
import select
import sys
from typing import Any, Final

from intellirouter.cli.errors import CommandError, ExitStatus

_REPLACEMENTS: Final = str.maketrans(
    {"–": "-", "—": "-", "…": "...", "·": ".", "░": ":", "█": "#", "→": "->", "×": "x", "‘": "'", "’": "'"}
)
"""What our own output uses beyond ASCII. Texts of other machines are escaped."""
_ERROR_HANDLER: Final = "intellirouter"
_ENCODING: Final = "utf-8"


class OutputError(Exception):
    """Standard output is closed or full."""

    def __init__(self, cause: OSError) -> None:
        super().__init__(str(cause))
        self.reason = cause.strerror or str(cause)
        self.has_no_reader = cause.errno == errno.EPIPE
        """The reader has seen enough, such as `head`. That is not reported."""


class _Output(io.RawIOBase):
    """Writes to a file descriptor. Raises `OutputError`, or ignores what cannot be written."""

    def __init__(self, descriptor: int, *, ignores_errors: bool) -> None:
        super().__init__()
        self._descriptor = descriptor
        self.ignores_errors = ignores_errors

    def write(self, data: Any) -> int:
        while True:
            try:
                return os.write(self._descriptor, data)
            except BlockingIOError:  # another program has made the terminal non-blocking
                select.select([], [self._descriptor], [])
            except OSError as error:
                if self.ignores_errors:
                    return len(data)
                raise OutputError(error) from None

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor

    def isatty(self) -> bool:
        return os.isatty(self._descriptor)


def set_up_streams() -> None:
    """Replace the standard streams. Closed ones are opened, so that no other file gets their descriptor."""
    _open_closed_descriptors()
    codecs.register_error(_ERROR_HANDLER, _replace_characters)
    if sys.stdin is None:
        sys.stdin = open(0, encoding=_ENCODING, closefd=False)  # noqa: SIM115 - as long as the process
    elif isinstance(sys.stdin, io.TextIOWrapper):
        sys.stdin.reconfigure(errors="surrogateescape")
    sys.stdout = _text_output(1, sys.stdout, ignores_errors=False)
    sys.stderr = _text_output(2, sys.stderr, ignores_errors=True)


def ignore_output_errors() -> None:
    """Run on when standard output is closed or full: a server must not end because its messages have no reader."""
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        raw.ignores_errors = True


def discard_output() -> None:
    """Discard what has not been written, so that the end of the process does not report it again."""
    ignore_output_errors()
    sys.stdout.flush()


def is_unicode_output() -> bool:
    """Whether standard output can show every character."""
    encoding = getattr(sys.stdout, "encoding", None) or _ENCODING
    return codecs.lookup(encoding).name.startswith("utf-")


def has_undecoded_bytes(text: str) -> bool:
    """Whether `text` contains bytes that Python could not decode, as surrogates."""
    return any("\udc80" <= char <= "\udcff" for char in text)


def decode_argument(text: str) -> str:
    """Return a command-line argument with its bytes read as UTF-8. Raises `UnicodeDecodeError`.

    In the C locale, Python may not decode them itself.
    """
    return os.fsencode(text).decode(_ENCODING) if has_undecoded_bytes(text) else text


def read_input() -> str:
    """Return standard input, as UTF-8 or else in the encoding of the terminal. Raises `CommandError`."""
    binary = getattr(sys.stdin, "buffer", None)
    if binary is None:
        return sys.stdin.read()
    data: bytes = binary.read()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        if codecs.lookup(sys.stdin.encoding).name in {"utf-8", "ascii"}:
            message = f"Standard input is not valid UTF-8 at byte {error.start}."
            hint = "Convert it, for example with `iconv -t UTF-8`."
            raise CommandError(message, hint, status=ExitStatus.USAGE) from None
        text = data.decode(sys.stdin.encoding)
    return text.replace("\r\n", "\n")


def _open_closed_descriptors() -> None:
    """Open the closed ones among 0, 1 and 2. Writing to standard output then fails as before."""
    for descriptor, mode in ((0, os.O_RDONLY), (1, os.O_RDONLY), (2, os.O_WRONLY)):
        try:
            os.fstat(descriptor)
        except OSError:
            opened = os.open(os.devnull, mode)  # the lowest free number, which is this one
            os.set_inheritable(opened, True)


def _text_output(descriptor: int, previous: Any, *, ignores_errors: bool) -> io.TextIOWrapper:
    if previous is not None:
        previous.flush()
    raw = _Output(descriptor, ignores_errors=ignores_errors)
    return io.TextIOWrapper(
        io.BufferedWriter(raw),
        encoding=getattr(previous, "encoding", None) or _ENCODING,
        errors=_ERROR_HANDLER,
        line_buffering=descriptor == 2 or raw.isatty(),
    )


def _replace_characters(error: UnicodeError) -> tuple[str | bytes, int]:
    """Replace the characters that an encoding lacks: ours by similar ones, others by escape sequences."""
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end].translate(_REPLACEMENTS)
    return text.encode("ascii", "backslashreplace").decode("ascii"), error.end
