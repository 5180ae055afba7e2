"""From a received request to a script: authentication, surfaces, faults, and the control plane."""

from collections import Counter
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import unquote

import msgspec

from intellirouter.core import SYSTEM_CLOCK, Clock
from intellirouter.testing.faults import Fault, Script, break_reply, script_of
from intellirouter.testing.mock_vendor.registry import Match, Received, Registry
from intellirouter.testing.openai_wire import (
    VendorError,
    answer,
    describe_model,
    json_reply,
    list_models,
    not_allowed,
    not_found,
)
from intellirouter.testing.plan import FLAKY_FAULT, magic_of
from intellirouter.testing.wire import Reply

CONTROL: Final = "/_control/"
FAULT_HEADER: Final = "x-mock-fault"
MODELS: Final = ("mock-large", "mock-small", "mock-embed")
_SURFACES: Final = ("/chat/completions", "/embeddings")


class Vendor:
    """Answers requests; knows nothing of sockets."""

    def __init__(self, api_key: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._api_key = api_key
        self._clock = clock
        self.registry = Registry()
        self.open_connections = 0
        self._flaky_calls: Counter[str] = Counter()

    def answer(self, received: Received, body: bytes) -> Script:
        """Return what to play. Requests to the control plane are not recorded and never broken."""
        path = received.path.partition("?")[0]
        if path.startswith(CONTROL):
            return script_of(self._control(received.method, path.removeprefix(CONTROL), body))
        self.registry.record(received)
        reply = self._reply(received, path, body)
        try:
            fault = self._fault(received)
        except ValueError as mistake:
            return script_of(json_reply({"error": {"message": str(mistake), "type": "bad_fault"}}, status=400))
        received.fault = None if fault is None else fault.kind
        return break_reply(reply, fault)

    def _reply(self, received: Received, path: str, body: bytes) -> Reply:
        try:
            self._authenticate(dict(received.headers))
            return self._surface(received, path, body)
        except VendorError as refusal:
            return refusal.reply()

    def _authenticate(self, headers: Mapping[str, str]) -> None:
        if self._api_key is None:
            return
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if not given:
            raise VendorError(
                401,
                "You didn't provide an API key. You need to provide your API key in an Authorization header using "
                "Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            )
        if given != self._api_key:
            raise VendorError(401, f"Incorrect API key provided: {given[:3]}***.", code="invalid_api_key")

    def _surface(self, received: Received, path: str, body: bytes) -> Reply:
        method, below = received.method, path.removeprefix("/v1")
        if path == below:
            raise not_found(method, path)
        if below in _SURFACES:
            if method != "POST":
                raise not_allowed(method, path)
            received.model, reply = answer(below, body, created_s=self._clock.epoch_us() // 1_000_000)
            return reply
        if below == "/models" or below.startswith("/models/"):
            if method != "GET":
                raise not_allowed(method, path)
            name = unquote(below.removeprefix("/models").removeprefix("/"))
            return describe_model(name) if name else list_models(MODELS)
        raise not_found(method, path)

    def _fault(self, received: Received) -> Fault | None:
        """Ask the header first, then the orders, then the model's own name."""
        asked = next((value for name, value in received.headers if name == FAULT_HEADER), None)
        if asked is not None:
            return Fault.parse(asked)
        ordered = self.registry.due(received)
        if ordered is not None or received.model is None:
            return ordered
        magic = magic_of(received.model)
        if magic is None:
            return None
        if magic.is_flaky:
            self._flaky_calls["flaky"] += 1
            return Fault.parse(FLAKY_FAULT) if self._flaky_calls["flaky"] % 2 == 0 else None
        return Fault.parse(magic.fault) if magic.fault is not None else None

    def _control(self, method: str, what: str, body: bytes) -> Reply:
        match method, what:
            case "POST", "faults":
                return self._order(body)
            case "GET", "faults":
                return json_reply({"faults": self.registry.orders})
            case "DELETE", "faults":
                self.registry.clear()
                return json_reply({"faults": []})
            case "GET", "requests":
                return json_reply({"requests": self.registry.received})
            case "GET", "state":
                return json_reply({"open_connections": self.open_connections})
            case "POST", "reset":
                self.registry.reset()
                self._flaky_calls.clear()
                return json_reply({"faults": [], "requests": []})
            case _:
                return not_found(method, CONTROL + what).reply()

    def _order(self, body: bytes) -> Reply:
        try:
            wish: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
            match = msgspec.convert(wish.pop("match", None) or {}, Match)
            return json_reply(self.registry.order(wish, match), status=201)
        except (msgspec.MsgspecError, ValueError) as mistake:
            return json_reply({"error": {"message": str(mistake), "type": "bad_fault"}}, status=400)
