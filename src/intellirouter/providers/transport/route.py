"""The way to one deployment: its connections, its credentials, and the heads that need not be written again."""

from typing import Final

from intellirouter.core import Deployment, UpstreamRequest
from intellirouter.providers.auth import Signable
from intellirouter.providers.credential_rotation import Ring
from intellirouter.providers.transport.address import head_of
from intellirouter.providers.transport.address_pool import Peers

_MAX_HEADS: Final = 32
"""Paths that hold ids of stored objects have no end; a deployment's usual ones are a handful."""

_Heads = tuple[bytes | None, ...]
"""One request's head for each credential that is presented by fixed headers."""


class Route:
    """What every request to one deployment shares. It holds the deployment, so that its `id` stays its own."""

    __slots__ = ("_heads", "deployment", "peers", "ring", "timeouts")

    def __init__(self, deployment: Deployment, peers: Peers, ring: Ring) -> None:
        self.deployment = deployment
        self.timeouts = deployment.timeouts
        self.peers = peers
        self.ring = ring
        self._heads: dict[object, _Heads] = {}

    def head(self, request: UpstreamRequest, credential: int) -> bytes | None:
        """Return the head up to its length; None where the credential has to be asked: see `signed_head`."""
        is_usual = not request.headers and request.method == "POST"
        key: object = request.path if is_usual else (request.method, request.path, request.headers)
        heads = self._heads.get(key) or self._write(key, request)
        return heads[credential]

    async def signed_head(self, request: UpstreamRequest, credential: int) -> bytes:
        """Return the head for a credential that is presented anew each time. Raises `UpstreamError`."""
        head = head_of(self.deployment, request)
        signable = Signable(
            method=head.method,
            host=head.host,
            target=head.target,
            headers=head.headers,
            body=request.body,
            deployment=self.deployment.name,
            region=self.deployment.region,
        )
        return head.to_bytes(await self.ring.credentials[credential].presenter.headers(signable))

    def _write(self, key: object, request: UpstreamRequest) -> _Heads:
        head = head_of(self.deployment, request)
        fixed = [each.presenter.fixed for each in self.ring.credentials]
        heads = tuple(None if each is None else head.to_bytes(each) for each in fixed)
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[key] = heads
        return heads
