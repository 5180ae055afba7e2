"""The lines of a batch: one pass over the input file finds what is wrong, or cuts it into chunks of whole lines.

Pure: bytes in, chunks and complaints out. Source: OpenAI guide "Batch API" and the errors its API gives.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from intellirouter.resources.batches.state import LineError

CHUNK_BYTES: Final = 64 * 1024
"""About how much of the input a running batch holds in memory."""
_MAX_ERRORS: Final = 100
_BOM: Final = b"\xef\xbb\xbf"


class Line(Struct, frozen=True):
    """One line of an input file."""

    custom_id: Any = UNSET
    method: Any = UNSET
    url: Any = UNSET
    body: msgspec.Raw | UnsetType = UNSET


class _Body(Struct, frozen=True):
    model: Any = None


class Chunk(Struct, frozen=True):
    """Some whole lines in a row, each ended by a line feed."""

    first: int
    """The first one's place among all lines, from 0."""
    content: bytes


_decode_line: Final = msgspec.json.Decoder(Line)
_decode_body: Final = msgspec.json.Decoder(_Body)


def read_lines(chunk: bytes) -> list[tuple[str, bytes]]:
    """Return the custom ids and bodies of a chunk that has been checked."""
    lines = [_decode_line.decode(raw) for raw in chunk.removesuffix(b"\n").split(b"\n")]
    return [(line.custom_id, bytes(line.body)) for line in lines if not isinstance(line.body, UnsetType)]


class InputCheck:
    """Takes a file's bytes in pieces, split anywhere. For one batch."""

    def __init__(self, endpoint: str, max_lines: int) -> None:
        self._endpoint = endpoint
        self._max_lines = max_lines
        self._rest: list[bytes] = []
        """The beginning of a line that is not complete."""
        self._chunk: list[bytes] = []
        self._chunk_bytes = 0
        self._chunk_first = 0
        self._seen: set[str] = set()
        self._models: set[str] = set()
        self._line_number = 0
        self.total = 0
        self.errors: list[LineError] = []

    @property
    def model(self) -> str | None:
        """The one model that all lines ask for."""
        return next(iter(self._models)) if len(self._models) == 1 else None

    @property
    def is_hopeless(self) -> bool:
        """Enough has been found: the rest need not be read."""
        return len(self.errors) >= _MAX_ERRORS or self.total > self._max_lines

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes, return the chunks that are complete."""
        head, mark, tail = data.rpartition(b"\n")
        if not mark:
            self._rest.append(data)
            return []
        whole = b"".join([*self._rest, head])
        self._rest = [tail]
        return self._read(whole)

    def end(self) -> list[Chunk]:
        """The file is complete: return the last chunk. `errors` now says whether the batch can run."""
        chunks = self._read(b"".join(self._rest))
        if self._chunk:
            chunks.append(self._cut())
        if self.total > self._max_lines:
            message = f"The batch has more than {self._max_lines} lines. Split it, or raise batches.max_lines."
            self.errors = [LineError(code="too_many_tasks", message=message)]
        elif not self.total and not self.errors:
            message = "The input file has no lines. Write one request as JSON in each."
            self.errors = [LineError(code="empty_file", message=message)]
        return chunks

    def _read(self, text: bytes) -> list[Chunk]:
        chunks = []
        for raw in text.split(b"\n"):
            self._line_number += 1
            line = raw.removeprefix(_BOM).strip() if self._line_number == 1 else raw.strip()
            if not line or self.is_hopeless:
                continue
            self.total += 1
            if (error := self._check(line)) is not None:
                self.errors.append(error)
            if self.errors:
                continue  # the batch will not run: only mistakes are of interest now
            self._chunk.append(line.replace(b"\r", b" ") + b"\n")
            self._chunk_bytes += len(line)
            if self._chunk_bytes >= CHUNK_BYTES:
                chunks.append(self._cut())
        return chunks

    def _cut(self) -> Chunk:
        chunk = Chunk(self._chunk_first, b"".join(self._chunk))
        self._chunk_first += len(self._chunk)
        self._chunk, self._chunk_bytes = [], 0
        return chunk

    def _check(self, raw: bytes) -> LineError | None:
        try:
            raw.decode()
            line = _decode_line.decode(raw)
            body = line.body
            model = None if isinstance(body, UnsetType) else _decode_body.decode(body).model
        except msgspec.ValidationError:
            return self._wrong("invalid_request", "Each line, and its `body`, must be a JSON object.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._wrong("invalid_json_line", "This line is not parseable as valid JSON.")
        error = self._check_members(line)
        if error is None and isinstance(model, str):
            self._models.add(model)
        return error

    def _check_members(self, line: Line) -> LineError | None:
        for name in ("custom_id", "method", "url", "body"):
            if getattr(line, name) is UNSET:
                return self._wrong("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
        custom_id = line.custom_id
        if not isinstance(custom_id, str) or not custom_id:
            return self._wrong("invalid_type", "The custom_id must be a string that is not empty.", "custom_id")
        if custom_id in self._seen:
            message = (
                "The custom_id for this request is a duplicate of another request. The custom_id parameter must be "
                "unique for each request in a batch."
            )
            return self._wrong("duplicate_custom_id", message, "custom_id")
        self._seen.add(custom_id)
        if line.method != "POST":
            return self._wrong("invalid_method", "The method of a request in a batch must be POST.", "method")
        if line.url != self._endpoint:
            message = f"The URL provided for this request does not match the batch endpoint ({self._endpoint})."
            return self._wrong("invalid_url", message, "url")
        return None

    def _wrong(self, code: str, message: str, param: str | None = None) -> LineError:
        return LineError(code=code, message=message, param=param, line=self._line_number)
