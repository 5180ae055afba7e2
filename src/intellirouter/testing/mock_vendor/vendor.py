"""From a received request to a script: the answer, its fault, and the control API."""

from collections import Counter
from typing import Any, Final

import msgspec

from intellirouter.core import SYSTEM_CLOCK, Clock
from intellirouter.fake.models import FLAKY_FAULT, find_behavior
from intellirouter.fake.openai.replies import json_reply, not_found
from intellirouter.fake.reply import Reply
from intellirouter.fake.script import Script, script_of
from intellirouter.testing.faults.fault import Fault, apply_fault
from intellirouter.testing.mock_vendor.apis import VendorApis
from intellirouter.testing.mock_vendor.conversation import Conversation, breaks_handshake
from intellirouter.testing.mock_vendor.registry import Match, Received, Registry
from intellirouter.testing.wires.openai import REALTIME_PATHS, open_session
from intellirouter.testing.wires.shared.request import WireRequest

CONTROL: Final = "/_control/"
FAULT_HEADER: Final = "x-mock-fault"


class Vendor:
    """Answers requests. It does not know about sockets."""

    def __init__(self, api_key: str | None = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self._api_key = api_key
        self._apis = VendorApis(api_key)
        self._clock = clock
        self.registry = Registry()
        self.open_connections = 0
        self._flaky_calls: Counter[str] = Counter()

    def answer(self, received: Received, body: bytes) -> Script:
        """Return the script of the answer. Requests to the control API are not recorded and have no faults."""
        if received.path.startswith(CONTROL):
            return script_of(self._control(received.method, received.path.removeprefix(CONTROL), body))
        self.registry.record(received)
        reply = self._reply(received, body)
        try:
            fault = self._fault(received)
        except ValueError as error:
            return script_of(json_reply({"error": {"message": str(error), "type": "bad_fault"}}, status=400))
        received.fault = None if fault is None else fault.kind
        return apply_fault(reply, fault)

    def connect(self, received: Received) -> tuple[Script, Conversation | None]:
        """Answer the handshake of a WebSocket. Returns the script of the answer, and the conversation that follows."""
        self.registry.record(received)
        request = self._request(received, b"")
        if request.path in REALTIME_PATHS:
            reply, session = open_session(request, self._api_key)
        else:
            reply, session = not_found(request.method, request.path).reply(), None
        received.model = request.model
        try:
            fault = self._fault(received)
        except ValueError as error:
            return script_of(json_reply({"error": {"message": str(error), "type": "bad_fault"}}, status=400)), None
        received.fault = None if fault is None else fault.kind
        if fault is not None and breaks_handshake(fault):
            script = apply_fault(reply, fault)
            return script, None if session is None else Conversation(session, None)
        return script_of(reply), None if session is None else Conversation(session, fault)

    def _request(self, received: Received, body: bytes) -> WireRequest:
        path, _, query = received.path.partition("?")
        return WireRequest(
            method=received.method,
            path=path,
            query_string=query,
            headers=dict(received.headers),
            body=body,
            created_s=self._clock.epoch_us() // 1_000_000,
        )

    def _reply(self, received: Received, body: bytes) -> Reply:
        request = self._request(received, body)
        reply = self._apis.answer(request)
        received.model = request.model
        return reply

    def _fault(self, received: Received) -> Fault | None:
        """Return the fault of the header, else of the first rule that is due, else of the fake model."""
        requested = next((value for name, value in received.headers if name == FAULT_HEADER), None)
        if requested is not None:
            return Fault.parse(requested)
        due = self.registry.due(received)
        if due is not None or received.model is None:
            return due
        behavior = find_behavior(received.model)
        if behavior is None:
            return None
        if behavior.is_flaky:
            self._flaky_calls["flaky"] += 1
            model_fault = FLAKY_FAULT if self._flaky_calls["flaky"] % 2 == 0 else None
        else:
            model_fault = behavior.fault
        return None if model_fault is None else Fault.of(model_fault.kind, model_fault.params)

    def _control(self, method: str, what: str, body: bytes) -> Reply:
        match method, what:
            case "POST", "faults":
                return self._add_rule(body)
            case "GET", "faults":
                return json_reply({"faults": self.registry.rules})
            case "DELETE", "faults":
                self.registry.clear()
                return json_reply({"faults": []})
            case "GET", "requests":
                return json_reply({"requests": self.registry.received})
            case "GET", "state":
                return json_reply({"open_connections": self.open_connections})
            case "POST", "reset":
                self.registry.reset()
                self._apis.reset()
                self._flaky_calls.clear()
                return json_reply({"faults": [], "requests": []})
            case _:
                return not_found(method, CONTROL + what).reply()

    def _add_rule(self, body: bytes) -> Reply:
        try:
            document: dict[str, Any] = msgspec.json.decode(body, type=dict[str, Any])
            match = msgspec.convert(document.pop("match", None) or {}, Match)
            return json_reply(self.registry.add_rule(document, match), status=201)
        except (msgspec.MsgspecError, ValueError) as error:
            return json_reply({"error": {"message": str(error), "type": "bad_fault"}}, status=400)
