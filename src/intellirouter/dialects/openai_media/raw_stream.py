"""The relay of streams that are not decoded: audio, and server-sent events whose types do not matter."""

from typing import Final

import msgspec

from intellirouter.core import Usage, errors, estimate_tokens
from intellirouter.dialects.openai.client_errors import encode_error_event
from intellirouter.dialects.openai.upstream_errors import decode_error_in_stream
from intellirouter.dialects.openai_media.usage import decode_media_usage
from intellirouter.dialects.wire import large_json
from intellirouter.dialects.wire.sse import LARGE_EVENT_BYTES, EventSplitter, check_utf8, event_data, split_events

_HTML: Final = b"<!doctype html"


class RawStream:
    """Implements `protocols.StreamRelay`. The first bytes are content, and the end of the body ends the stream."""

    def __init__(self, *, is_sse: bool, fallback_usage: Usage, makes_images: bool = False) -> None:
        self._makes_images = makes_images
        self._splitter = EventSplitter() if is_sse else None
        self._last = b""
        self._content_bytes = 0
        self.has_content = False
        self.is_finished = False
        self.is_heavy = False
        self.usage: Usage | None = fallback_usage
        self.finish_reason: str | None = None
        self.content_events = 0
        self.error: errors.UpstreamError | None = None

    @property
    def produced_tokens(self) -> int:
        return estimate_tokens(self._content_bytes)

    @property
    def buffered_bytes(self) -> int:
        return 0 if self._splitter is None else self._splitter.buffered_bytes

    def feed(self, data: bytes) -> bytes:
        if self._splitter is not None:
            data = self._splitter.feed(data)
            self.is_heavy = self._splitter.buffered_bytes > LARGE_EVENT_BYTES
            if data:
                check_utf8(data)
                self._inspect(data)
        elif not self.has_content and data[: len(_HTML)].lower() == _HTML:
            raise errors.UpstreamMalformed("The upstream returned an HTML page instead of audio.")
        if not data:
            return b""
        self.has_content = True
        self.content_events += 1
        self._content_bytes += len(data)
        # The last piece is held back until settlement.
        out, self._last = self._last, data
        return out

    def _inspect(self, block: bytes) -> None:
        for event in split_events(block):
            if b'"usage"' not in event and b'"error"' not in event:
                continue
            try:
                document = large_json.decode(event_data(event) or b"null")
            except (msgspec.DecodeError, RecursionError):
                continue
            if isinstance(document, dict):
                if document.get("error") and not self.has_content:
                    raise decode_error_in_stream(event_data(event) or b"")
                self.usage = decode_media_usage(document, makes_images=self._makes_images) or self.usage

    def end(self) -> bytes:
        if not self.has_content:
            raise errors.UpstreamMalformed("The upstream's response is empty.")
        self.is_finished = True
        rest = self._splitter.rest() if self._splitter is not None else b""
        return self._last + rest

    def fail(self, error: errors.GatewayError) -> bytes:
        return b"" if self._splitter is None else encode_error_event(error)
