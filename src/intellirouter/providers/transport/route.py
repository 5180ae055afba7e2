"""The way to one deployment: its connections, and the request heads that need not be written again."""

from typing import Final

from intellirouter.core import Deployment, UpstreamRequest
from intellirouter.providers.transport.address import head_of
from intellirouter.providers.transport.peers import Peers

_MAX_HEADS: Final = 32
"""Paths that hold ids of stored objects have no end; a deployment's usual ones are a handful."""


class Route:
    """What every request to one deployment shares. It holds the deployment, so that its `id` stays its own."""

    __slots__ = ("_heads", "deployment", "next_credential", "peers", "timeouts")

    def __init__(self, deployment: Deployment, peers: Peers) -> None:
        self.deployment = deployment
        self.timeouts = deployment.timeouts
        self.peers = peers
        self.next_credential = 0
        self._heads: dict[object, tuple[bytes, ...]] = {}

    def head(self, request: UpstreamRequest) -> bytes:
        """Return the request's head up to its length. Credentials take turns."""
        is_usual = not request.headers and request.method == "POST"
        key: object = request.path if is_usual else (request.method, request.path, request.headers)
        heads = self._heads.get(key) or self._write(key, request)
        if len(heads) == 1:
            return heads[0]
        self.next_credential = (self.next_credential + 1) % len(heads)
        return heads[self.next_credential]

    def _write(self, key: object, request: UpstreamRequest) -> tuple[bytes, ...]:
        head = head_of(self.deployment, request)
        secrets = self.deployment.credentials
        heads = tuple(head.to_bytes((("authorization", f"Bearer {each.reveal()}"),)) for each in secrets) or (
            head.to_bytes(),
        )
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[key] = heads
        return heads
