"""Which vendor's API a request is for. All live on one port: their paths and headers tell them apart."""

from typing import Protocol

from intellirouter.testing.anthropic_wire import AnthropicApi
from intellirouter.testing.openai_wire import OpenAiApi
from intellirouter.testing.wire import Reply, WireRequest


class Api(Protocol):
    """One vendor."""

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: refusals are replies."""
        ...

    def reset(self) -> None:
        """Forget what requests have left behind."""
        ...


class Surfaces:
    """All vendors of one process."""

    def __init__(self, api_key: str | None = None) -> None:
        self._openai = OpenAiApi(api_key)
        self._anthropic = AnthropicApi(api_key)

    def reset(self) -> None:
        for api in (self._openai, self._anthropic):
            api.reset()

    def answer(self, request: WireRequest) -> Reply:
        return self._api(request).answer(request)

    def _api(self, request: WireRequest) -> Api:
        path, headers = request.path, request.headers
        if path.startswith("/v1/chat/"):
            return self._openai
        if "anthropic-version" in headers or path.startswith("/v1/messages"):
            return self._anthropic
        return self._openai
