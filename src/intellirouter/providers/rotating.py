"""Credential rotation for callers without an attempt loop.

A request whose credential is refused is repeated at once with the provider's other credentials, each at most once.
A request that was sent over a dead pooled connection is repeated once over a new one. These repetitions are not
recorded as attempts.
"""

import asyncio

from intellirouter.core import Deployment, UpstreamRequest, UpstreamResponse, errors
from intellirouter.providers.credential_rotation import ROTATION_STATUSES
from intellirouter.providers.transport import UpstreamPool


class RotatingUpstream:
    """Implements `core.Upstream` on top of a pool. All repetitions share one total timeout."""

    def __init__(self, pool: UpstreamPool) -> None:
        self._pool = pool

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> UpstreamResponse:
        repetitions_left = len(deployment.credentials) - 1
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + deployment.timeouts.total_s
        credentials = self._pool.credentials
        may_reconnect = True
        while True:
            try:
                response = await self._pool.send(deployment, request, deadline_s=deadline_s)
            except errors.UpstreamDisconnected as error:
                if not (error.is_stale_connection and may_reconnect):
                    raise
                may_reconnect = False
                continue
            except errors.UpstreamAuthFailed:  # no access token could be obtained
                if repetitions_left < 1 or not credentials.can_rotate(deployment, loop.time()):
                    raise
            else:
                is_refused = response.status in ROTATION_STATUSES
                if not is_refused or repetitions_left < 1 or not credentials.can_rotate(deployment, loop.time()):
                    return response
                response.release()
            repetitions_left -= 1
