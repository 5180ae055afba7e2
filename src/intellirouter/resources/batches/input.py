"""Validates the input file of a batch in one pass, and splits it into chunks of whole lines.

Pure: bytes in, chunks and errors out. Source: OpenAI guide "Batch API" and the errors that its API returns.
"""

from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from intellirouter.core import DEFAULT_LIMITS, SMALL_BYTES, RequestLimits, errors
from intellirouter.dialects import check_json, check_unique
from intellirouter.resources.batches.state import LineError

CHUNK_BYTES: Final = 64 * 1024
"""The approximate size of a chunk, and so of the input that a running batch holds in memory."""
_MAX_ERRORS: Final = 100
_LIMIT_EXCEEDED: Final = "limit_exceeded"
_DUPLICATE: Final = "duplicate_parameter"
_UNIQUE_MEMBERS: Final = ("model", "stream")
"""Members of requests that must be unique, because batches are accepted or refused by them."""
_BOM: Final = b"\xef\xbb\xbf"


class Line(Struct, frozen=True):
    """A line of an input file."""

    custom_id: Any = UNSET
    method: Any = UNSET
    url: Any = UNSET
    body: msgspec.Raw | UnsetType = UNSET


class _Body(Struct, frozen=True):
    model: Any = None


class Chunk(Struct, frozen=True):
    """Consecutive whole lines, each of which ends with a line feed."""

    first: int
    """The index of the first line; the first line of the file is 0."""
    content: bytes


_decode_line: Final = msgspec.json.Decoder(Line)
_decode_body: Final = msgspec.json.Decoder(_Body)


def read_lines(chunk: bytes) -> list[tuple[str, bytes]]:
    """Return the custom ids and bodies of the lines in a valid chunk."""
    lines = [_decode_line.decode(raw) for raw in chunk.removesuffix(b"\n").split(b"\n")]
    return [(line.custom_id, bytes(line.body)) for line in lines if not isinstance(line.body, UnsetType)]


class InputCheck:
    """Validates the input of one batch. Takes the bytes of the file in pieces of any size."""

    def __init__(self, endpoint: str, max_lines: int, limits: RequestLimits = DEFAULT_LIMITS) -> None:
        self._endpoint = endpoint
        self._max_lines = max_lines
        # The line adds one level to the depth of its request.
        self._limits = msgspec.structs.replace(limits, json_depth=limits.json_depth + 1)
        self._rest: list[bytes] = []
        """The beginning of an incomplete line."""
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
        """The model that all lines request; None if they request several."""
        return next(iter(self._models)) if len(self._models) == 1 else None

    @property
    def can_stop(self) -> bool:
        """The result is certain, so the rest of the file need not be read."""
        return len(self.errors) >= _MAX_ERRORS or self.total > self._max_lines

    def feed(self, data: bytes) -> list[Chunk]:
        """Take the next bytes and return the chunks that are complete."""
        head, line_feed, tail = data.rpartition(b"\n")
        if not line_feed:
            self._rest.append(data)
            return []
        whole = b"".join([*self._rest, head])
        self._rest = [tail]
        return self._read(whole)

    def end(self) -> list[Chunk]:
        """Finish the file and return the last chunk. The batch can run if `errors` is empty."""
        chunks = self._read(b"".join(self._rest))
        if self._chunk:
            chunks.append(self._cut())
        if self.total > self._max_lines:
            message = f"The batch has more than {self._max_lines} lines. Split it, or raise batches.max_lines."
            self.errors = [LineError(code="too_many_tasks", message=message)]
        elif not self.total and not self.errors:
            message = "The input file is empty. Each line must be one request as a JSON object."
            self.errors = [LineError(code="empty_file", message=message)]
        return chunks

    def _read(self, text: bytes) -> list[Chunk]:
        chunks = []
        for raw in text.split(b"\n"):
            self._line_number += 1
            line = raw.removeprefix(_BOM).strip() if self._line_number == 1 else raw.strip()
            if not line or self.can_stop:
                continue
            self.total += 1
            if (error := self._check(line)) is not None:
                self.errors.append(error)
            if self.errors:
                continue  # the batch will not run, so only further errors matter
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

    # The messages below that name a parameter are OpenAI's wording.

    def _check(self, raw: bytes) -> LineError | None:
        try:
            if len(raw) > SMALL_BYTES:
                check_json(raw, self._limits)
            raw.decode()
            line = _decode_line.decode(raw)
            body = line.body
            model = None
            check_unique(raw, Line.__struct_fields__)
            if not isinstance(body, UnsetType):
                model = _decode_body.decode(body).model
                check_unique(bytes(body), _UNIQUE_MEMBERS)
        except errors.InvalidRequest as refusal:
            if refusal.code not in {_LIMIT_EXCEEDED, _DUPLICATE}:
                return self._error("invalid_json_line", "This line is not parseable as valid JSON.")
            return self._error(refusal.code, refusal.message)
        except msgspec.ValidationError:
            return self._error("invalid_request", "Each line, and its `body`, must be a JSON object.")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return self._error("invalid_json_line", "This line is not parseable as valid JSON.")
        error = self._check_members(line)
        if error is None and isinstance(model, str):
            self._models.add(model)
        return error

    def _check_members(self, line: Line) -> LineError | None:
        for name in ("custom_id", "method", "url", "body"):
            if getattr(line, name) is UNSET:
                return self._error("missing_required_parameter", f"Missing required parameter: '{name}'.", name)
        custom_id = line.custom_id
        if not isinstance(custom_id, str) or not custom_id:
            return self._error("invalid_type", "The custom_id must be a non-empty string.", "custom_id")
        if custom_id in self._seen:
            message = (
                "The custom_id for this request is a duplicate of another request. The custom_id parameter must be "
                "unique for each request in a batch."
            )
            return self._error("duplicate_custom_id", message, "custom_id")
        self._seen.add(custom_id)
        if line.method != "POST":
            return self._error("invalid_method", "The method of a request in a batch must be POST.", "method")
        if line.url != self._endpoint:
            message = f"The URL provided for this request does not match the batch endpoint ({self._endpoint})."
            return self._error("invalid_url", message, "url")
        return None

    def _error(self, code: str, message: str, param: str | None = None) -> LineError:
        return LineError(code=code, message=message, param=param, line=self._line_number)
