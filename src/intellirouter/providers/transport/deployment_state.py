"""What the pool keeps for one deployment: its connections, its credentials and its prebuilt request heads."""

from typing import Final

from intellirouter.core import Deployment, UpstreamRequest
from intellirouter.providers.auth import SignableRequest
from intellirouter.providers.credential_rotation import CredentialRotation
from intellirouter.providers.transport.address_pool import AddressPool
from intellirouter.providers.transport.request_head import RequestHead, build_head, forwarded_head

_MAX_HEADS: Final = 32
"""A deployment uses a handful of paths, but paths that contain object ids are unlimited."""

_Heads = tuple[bytes | None, ...]
"""The head of one request for each credential; None for a credential without static headers."""


class DeploymentState:
    """Shared by all requests to one deployment."""

    __slots__ = ("_heads", "connections", "deployment", "rotation", "secrets", "timeouts")

    def __init__(self, deployment: Deployment, connections: AddressPool, rotation: CredentialRotation) -> None:
        self.deployment = deployment
        self.timeouts = deployment.timeouts
        self.connections = connections
        self.rotation = rotation
        proxy = connections.address.forwarding_proxy
        self.secrets = deployment.credentials if proxy is None else (*deployment.credentials, *proxy.secrets)
        """What error responses must not contain."""
        self._heads: dict[object, _Heads] = {}

    def head(self, request: UpstreamRequest, credential: int) -> bytes | None:
        """Return the request head up to the value of content-length, or None when `signed_head` must build it."""
        is_plain_post = not request.headers and request.method == "POST"
        key: object = request.path if is_plain_post else (request.method, request.path, request.headers)
        heads = self._heads.get(key) or self._build_heads(key, request)
        return heads[credential]

    async def signed_head(self, request: UpstreamRequest, credential: int) -> bytes:
        """Return the head with credential headers made for this request. Raises `UpstreamError`."""
        head = self._request_head(request)
        signable = SignableRequest(
            method=head.method,
            host=head.host,
            target=head.target,
            headers=head.headers,
            body=request.body,
            deployment=self.deployment.name,
            region=self.deployment.region,
        )
        return head.to_bytes(await self.rotation.credentials[credential].authenticator.headers(signable))

    def _request_head(self, request: UpstreamRequest) -> RequestHead:
        head = build_head(self.deployment, request)
        proxy = self.connections.address.forwarding_proxy
        return head if proxy is None else forwarded_head(head, proxy)

    def _build_heads(self, key: object, request: UpstreamRequest) -> _Heads:
        head = self._request_head(request)
        static = [each.authenticator.static_headers for each in self.rotation.credentials]
        heads = tuple(None if each is None else head.to_bytes(each) for each in static)
        if len(self._heads) >= _MAX_HEADS:
            self._heads.clear()
        self._heads[key] = heads
        return heads
