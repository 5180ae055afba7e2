"""A gateway in front of every kind of upstream, and clients of every dialect."""

import json
import os
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal
from pathlib import Path
from typing import Any

import httpx
from msgspec import Struct

from intellirouter.testing import MockVendor
from tests.support.gateway.fixtures import KEYS, key_rows
from tests.support.gateway.process import GatewayProcess
from tests.support.translation import answers, requests
from tests.support.translation.prompt import ParsedAnswer, Prompt
from tests.support.translation.requests import Request

CREDENTIAL = "sk-upstream-0123456789"
PRICE = {
    "input_per_1m_usd": 1.5,
    "output_per_1m_usd": 6.25,
    "cache_read_per_1m_usd": 0.3,
    "cache_write_per_1m_usd": 1.9,
}


class Upstream(Struct, frozen=True):
    """The configuration of a provider, and the model to call."""

    provider: dict[str, Any]
    prefix: str
    """The prefix of its paths below the address of the vendor."""
    model: str = "mock-large"


UPSTREAMS: dict[str, Upstream] = {
    "openai": Upstream({"vendor": "openai"}, "/v1"),
    "responses": Upstream({"vendor": "openai", "dialect": "openai_responses"}, "/v1"),
    "anthropic": Upstream({"vendor": "anthropic"}, "", "claude-sonnet-4-5"),
    "gemini": Upstream({"vendor": "gemini"}, "/v1beta", "gemini-3-mock"),
    "ollama": Upstream({"vendor": "ollama"}, ""),
    "azure": Upstream({"vendor": "azure"}, "/openai/v1"),
    "bedrock": Upstream({"vendor": "bedrock", "region": "us-east-1"}, "", "anthropic.claude-sonnet-4-5-20250929-v1:0"),
}
"""`NAME` is a deployment of `model` with a price; `NAME/anything` is a model without a price."""
TIMEOUTS = {"connect_s": 2, "first_token_s": 10, "idle_s": 1.5, "total_s": 20}


class Client(Struct, frozen=True):
    """One kind of client: how it builds requests, parses answers and sends its key."""

    build: Callable[..., Request]
    parse: Callable[..., ParsedAnswer]
    key_header: str = "authorization"
    key_prefix: str = "Bearer "
    has_tools: bool = True
    has_schema: bool = True
    takes_urls: bool = True
    takes_images: bool = True
    unknown_path_status: int = 404


CLIENTS: dict[str, Client] = {
    "chat": Client(requests.chat, answers.chat),
    "responses": Client(requests.responses, answers.responses),
    "messages": Client(requests.messages, answers.messages, "x-api-key", ""),
    "gemini": Client(requests.gemini, answers.gemini, "x-goog-api-key", ""),
    "gemini_array": Client(requests.gemini_array, answers.gemini_array, "x-goog-api-key", ""),
    "ollama": Client(requests.ollama, answers.ollama, takes_urls=False),
    "completions": Client(
        requests.completions,
        answers.completions,
        has_tools=False,
        has_schema=False,
        takes_urls=False,
        takes_images=False,
    ),
    "generate": Client(requests.generate, answers.ollama, has_tools=False, takes_urls=False),
}
TOOL_CLIENTS = [name for name, client in CLIENTS.items() if client.has_tools]
BOTH = [False, True]


def config(vendor: MockVendor, directory: Path) -> dict[str, Any]:
    """Return a configuration with a provider for each upstream, and a fallback model for each pair of upstreams."""
    credential = directory / "credential"
    credential.write_text(CREDENTIAL)
    providers: dict[str, Any] = {
        name: {
            **upstream.provider,
            "base_url": vendor.url + upstream.prefix,
            "credentials": [f"file:{credential}"],
            "models": "*",
            "timeouts": TIMEOUTS,
        }
        for name, upstream in UPSTREAMS.items()
    }
    providers["anything"] = {**providers["openai"], "vendor": "openai-compatible"}
    deployments: dict[str, Any] = {
        f"{name}-priced": {"provider": name, "model": upstream.model, "price": PRICE}
        for name, upstream in UPSTREAMS.items()
    }
    deployments |= {
        f"{name}-broken": {"provider": name, "model": f"{upstream.model}-broken"}
        for name, upstream in UPSTREAMS.items()
    }
    deployments |= {
        f"{name}-silent": {
            "provider": name,
            "model": f"{upstream.model}-silent",
            "timeouts": {"first_token_s": 0.3, "idle_s": 0.3},
        }
        for name, upstream in UPSTREAMS.items()
    }
    models = {name: {"deployments": [f"{name}-priced"]} for name in UPSTREAMS}
    models |= {
        f"{first}-then-{second}": {"deployments": [f"{first}-broken"], "fallbacks": [f"{second}-priced"]}
        for first in UPSTREAMS
        for second in UPSTREAMS
    }
    models["claude-opus-5-5"] = {"deployments": ["openai-priced"]}
    models["team/deep/name:v1.2"] = {"deployments": ["anthropic-priced"]}
    return {
        "defaults": {"retries": 0, "backoff": {"base_s": 0.01, "max_s": 0.05}, "pool": {"max_wait_s": 0}},
        "providers": providers,
        "deployments": deployments,
        "models": models,
        "tenants": {"north": {}, "south": {}},
        "keys": key_rows(),
        "auth": {"required": True},
        "logging": {"level": "error"},
    }


class Answer(Struct):
    status: int
    headers: httpx.Headers
    parsed: ParsedAnswer
    body: bytes


class World:
    """The gateway and the vendor."""

    def __init__(self, gateway: GatewayProcess, vendor: MockVendor) -> None:
        self.gateway = gateway
        self.vendor = vendor
        self.http = httpx.Client(timeout=30, base_url=gateway.url)

    def ask(
        self,
        client: str,
        model: str,
        prompt: Prompt | None = None,
        *,
        stream: bool = False,
        key: str = "ann",
        **more: Any,
    ) -> Answer:
        """Send a prompt as `client` does. `more` are fields of `Prompt`."""
        kind = CLIENTS[client]
        request = kind.build(prompt or Prompt(**more), model, stream=stream)
        return self.post(client, request.path, request.body, stream=stream, key=key)

    def post(
        self, client: str, path: str, body: Any, *, stream: bool = False, key: str = "ann", **headers: str
    ) -> Answer:
        kind = CLIENTS[client]
        all_headers = {kind.key_header: kind.key_prefix + KEYS.get(key, key)} if key else {}
        all_headers |= {name.replace("_", "-"): value for name, value in headers.items()}
        if kind is CLIENTS["messages"]:
            all_headers.setdefault("anthropic-version", "2023-06-01")
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        got = self.http.post(path, content=content, headers={"content-type": "application/json", **all_headers})
        is_stream = stream and got.status_code == 200
        return Answer(got.status_code, got.headers, kind.parse(got.content, stream=is_stream), got.content)

    def get(self, path: str, *, key: str = "ann", method: str = "GET", **headers: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {KEYS[key]}"} if key else {}
        return self.http.request(
            method, path, headers={**bearer, **{name.replace("_", "-"): value for name, value in headers.items()}}
        )

    def call(self, path: str, body: Any, *, key: str = "ann", **headers: str) -> httpx.Response:
        """POST JSON with a bearer token."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.http.post(path, json=body, headers={"authorization": f"Bearer {KEYS[key]}", **more})

    def record(self, answer: Answer | httpx.Response) -> dict[str, Any]:
        return self.gateway.record(answer.headers["x-request-id"])

    def break_first(self, upstream: str, kind: str, **params: Any) -> None:
        """Add a fault to `UPSTREAM-broken` after it has succeeded once: deployments that fail often are tried last."""
        self.vendor.reset()
        assert self.ask("chat", f"{upstream}-broken").status == 200
        self.vendor.reset()
        self.vendor.fault(kind, match={"model": f"{UPSTREAMS[upstream].model}-broken"}, **params)

    def sent(self, mark: str = "") -> list[dict[str, Any]]:
        """Return the requests that the vendor received during the test and that contain `mark`."""
        return [each for each in self.vendor.requests() if mark in each["body"] or mark in each["path"]]

    def last_sent(self, mark: str = "") -> dict[str, Any]:
        """Return the body of the last such request."""
        document: dict[str, Any] = json.loads(self.sent(mark)[-1]["body"])
        return document


def unique(prefix: str = "mark") -> str:
    """Return a word that occurs in no other request."""
    return f"{prefix}{os.urandom(6).hex()}"


def cost_of(usage: dict[str, int]) -> int:
    """Return the cost of disjoint buckets in micro-USD, calculated without the gateway."""
    exact = sum(
        Decimal(str(PRICE[name])) * sum(usage.get(bucket, 0) for bucket in buckets)
        for name, buckets in (
            ("input_per_1m_usd", ("input_tokens",)),
            ("cache_read_per_1m_usd", ("cache_read_tokens",)),
            ("cache_write_per_1m_usd", ("cache_write_tokens",)),
            ("output_per_1m_usd", ("output_tokens", "reasoning_tokens")),
        )
    )
    return int(Decimal(exact).to_integral_value(ROUND_HALF_UP))
