"""The responses of workers: errors about the context are replaced, everything else passes through."""

import json
from typing import Any

from intellirouter.core import Deployment, UpstreamAddress, UpstreamRequest, errors
from intellirouter.roles.worker_errors import WorkerErrors

REQUEST = UpstreamRequest(path="/chat/completions", body=b"{}")
DEPLOYMENT = Deployment(
    name="small",
    provider="local",
    vendor="host",
    upstream_model="m",
    address=UpstreamAddress(base_url="http://local-worker/v1"),
    context_tokens=256,
)
TOO_LONG = {"error": {"message": "…", "type": "exceed_context_size_error", "n_prompt_tokens": 630, "n_ctx": 256}}


class Response:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self.headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
        self.body = body
        self.calls: list[str] = []

    async def read(self, limit_bytes: int) -> bytes:
        if len(self.body) > limit_bytes:
            raise errors.UpstreamMalformed("The body is too large.")
        return self.body

    def __getattr__(self, name: str) -> Any:
        return lambda *_: self.calls.append(name)


class Pool:
    def __init__(self, response: Any) -> None:
        self.response = response

    async def send(self, deployment: Deployment, request: UpstreamRequest) -> Any:
        return self.response


async def test_an_error_about_the_context_is_replaced() -> None:
    inner = Response(400, json.dumps(TOO_LONG).encode())
    response = await WorkerErrors(Pool(inner)).send(DEPLOYMENT, REQUEST)
    body = await response.read(65536)
    assert response.status == 400
    assert "the context of the local model small has 256 tokens" in json.loads(body)["error"]["message"]
    assert list(response.headers) == [("content-type", "application/json"), ("content-length", str(len(body)))]
    assert (await response.next_chunk(), await response.next_chunk()) == (body, b"")
    response.content_began()
    response.spare_credential()
    response.refuse_credential(401)
    response.release()
    response.abort()
    assert inner.calls == ["spare_credential", "refuse_credential", "release", "abort"]


async def test_other_responses_are_not_touched() -> None:
    for inner in (Response(200, b"{}"), Response(503, b"x"), Response(400, b"x" * 100_000)):
        assert await WorkerErrors(Pool(inner)).send(DEPLOYMENT, REQUEST) is inner  # type: ignore[comparison-overlap]
