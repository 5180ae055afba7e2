"""The APIs of all vendors on one port. Paths and headers of a request determine whose API it is for."""

from typing import Final, Protocol

from intellirouter.fake.reply import Reply
from intellirouter.testing.wires.anthropic import AnthropicApi
from intellirouter.testing.wires.bedrock import BedrockApi
from intellirouter.testing.wires.gemini import GeminiApi
from intellirouter.testing.wires.ollama import OllamaApi
from intellirouter.testing.wires.openai import AzureApi, OpenAiApi
from intellirouter.testing.wires.shared.request import WireRequest

GEMINI_PATHS: Final = ("/v1beta/", "/v1beta1/", "/v1alpha/", "/v1/projects/", "/v1/publishers/", "/token")


class Api(Protocol):
    """The API of one vendor."""

    def answer(self, request: WireRequest) -> Reply:
        """Never raises: errors are returned as replies."""
        ...

    def reset(self) -> None:
        """Delete all stored state."""
        ...


class VendorApis:
    """The APIs of all vendors."""

    def __init__(self, api_key: str | None = None) -> None:
        self._openai = OpenAiApi(api_key)
        self._anthropic = AnthropicApi(api_key)
        self._gemini = GeminiApi(api_key)
        self._ollama = OllamaApi(api_key)
        self._azure = AzureApi(api_key)
        self._bedrock = BedrockApi(api_key)

    def reset(self) -> None:
        for api in (self._openai, self._anthropic, self._gemini, self._ollama, self._azure, self._bedrock):
            api.reset()

    def answer(self, request: WireRequest) -> Reply:
        return self._api(request).answer(request)

    def _api(self, request: WireRequest) -> Api:
        path, headers = request.path, request.headers
        if path.startswith("/v1/chat/"):
            return self._openai
        if path.startswith("/api/"):
            return self._ollama
        if path.startswith("/openai/"):
            return self._azure
        if path.startswith("/model/"):
            return self._bedrock
        if "anthropic-version" in headers or path.startswith("/v1/messages"):
            return self._anthropic
        if (
            path.startswith(GEMINI_PATHS)
            or "x-goog-api-key" in headers
            or (path.startswith("/v1/models/") and ":" in path)
        ):
            return self._gemini
        return self._openai
