"""Credential rotation for callers without an attempt loop.

A request whose credential is refused is repeated at once with the provider's other credentials, each at most once.
These repetitions are not recorded as attempts.
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
        if repetitions_left < 1:
            return await self._pool.send(deployment, request)
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + deployment.timeouts.total_s
        credentials = self._pool.credentials
        while True:
            try:
                response = await self._pool.send(deployment, request, deadline_s=deadline_s)
            except errors.UpstreamAuthFailed:  # no access token could be obtained
                if not repetitions_left or not credentials.can_rotate(deployment, loop.time()):
                    raise
            else:
                is_refused = response.status in ROTATION_STATUSES
                if not is_refused or not repetitions_left or not credentials.can_rotate(deployment, loop.time()):
                    return response
                response.release()
            repetitions_left -= 1
