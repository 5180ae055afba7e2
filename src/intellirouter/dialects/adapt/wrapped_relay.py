"""The base of relays that change or check what another relay sends."""

from intellirouter.core import Usage, errors
from intellirouter.dialects.protocols import StreamRelay


class WrappedRelay:
    """Implements `protocols.StreamRelay` by another relay, except for `feed` and `end`."""

    def __init__(self, relay: StreamRelay) -> None:
        self._relay = relay

    @property
    def has_content(self) -> bool:
        return self._relay.has_content

    @property
    def is_finished(self) -> bool:
        return self._relay.is_finished

    @property
    def usage(self) -> Usage | None:
        return self._relay.usage

    @property
    def finish_reason(self) -> str | None:
        return self._relay.finish_reason

    @property
    def content_events(self) -> int:
        return self._relay.content_events

    @property
    def produced_tokens(self) -> int:
        return self._relay.produced_tokens

    @property
    def buffered_bytes(self) -> int:
        return self._relay.buffered_bytes

    @property
    def is_heavy(self) -> bool:
        return self._relay.is_heavy

    @property
    def error(self) -> errors.UpstreamError | None:
        return self._relay.error

    def fail(self, error: errors.GatewayError) -> bytes:
        return self._relay.fail(error)
