"""The relay of an audio response that begins like a JSON document: some vendors report errors with status 200."""

from typing import Final

import msgspec

from intellirouter.core import Usage, errors
from intellirouter.dialects.openai.upstream_errors import decode_error_in_200
from intellirouter.dialects.openai_media.raw_stream import RawStream

_MAX_DOCUMENT_BYTES: Final = 64 * 1024
"""Error documents are smaller."""


class JsonInsteadOfAudio(RawStream):
    """Holds back what may be an error document. Raises its error at the end.

    What is not JSON is relayed if it may be audio: raw samples may begin with any byte, unlike files.
    """

    def __init__(self, *, fallback_usage: Usage, may_be_audio: bool) -> None:
        super().__init__(is_sse=False, fallback_usage=fallback_usage)
        self._may_be_audio = may_be_audio
        self._held = bytearray()

    @property
    def buffered_bytes(self) -> int:
        return len(self._held)

    def feed(self, data: bytes) -> bytes:
        if self.has_content:
            return super().feed(data)
        self._held += data
        if len(self._held) <= _MAX_DOCUMENT_BYTES:
            return b""
        if not self._may_be_audio:
            raise _not_audio("text")
        return super().feed(self._take())

    def end(self) -> bytes:
        if self._held:
            held = self._take()
            self._check_audio(held)
            super().feed(held)
        return super().end()

    def _take(self) -> bytes:
        held = bytes(self._held)
        self._held.clear()
        return held

    def _check_audio(self, held: bytes) -> None:
        try:
            document = msgspec.json.decode(held)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            if self._may_be_audio:
                return
            raise _not_audio("text") from None
        if isinstance(document, dict) and document.get("error"):
            raise decode_error_in_200(held)
        raise _not_audio("JSON")


def _not_audio(what: str) -> errors.UpstreamMalformed:
    return errors.UpstreamMalformed(f"The upstream returned {what} instead of audio.")
