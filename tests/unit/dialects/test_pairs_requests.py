"""Every client's request to every upstream: it arrives with the same meaning, is refused, or says what it lost."""

import json
from typing import Any

import msgspec
import pytest

from intellirouter.core import Deployment
from tests.support.dialects.meaning import silent_losses
from tests.support.dialects.pairs import (
    BY_UPSTREAM,
    CLIENTS,
    OTHERS,
    UNSAID,
    Sent,
    call_of,
    client_of,
    read_back,
    request_cases,
    send,
)

TARGETS = {**BY_UPSTREAM, **OTHERS}
CASES = [
    pytest.param(client, case, id=f"{client}-{name}") for client in CLIENTS for name, case in request_cases(client)
]
TOLD_TWICE = {
    "tools[].custom.format": "`tools` says that free text is told as a function",
    "reasoning.summary": "how thoughts are summed up; that they are shown is kept",
}


def silent(client: str, body: bytes, sent: Sent, target: Deployment, losses: dict[str, str]) -> list[str]:
    assert sent.request is not None
    after = read_back(sent.request, target.dialects[0])
    return silent_losses(sent.before, after, losses, client_of(client, body).field_names, UNSAID[target.name])


@pytest.mark.parametrize(("client", "case"), CASES)
def test_nothing_is_lost_silently(client: str, case: dict[str, Any]) -> None:
    found = {}
    for name, target in TARGETS.items():
        call = call_of(client, case)
        sent = send(call, client, target)
        if sent.refusal is not None:
            assert sent.refusal.message
            assert sent.refusal.param
        elif lost := silent(client, call.body, sent, target, sent.losses):
            found[name] = lost
    assert found == {}


@pytest.mark.parametrize(("client", "case"), CASES)
def test_writing_leaves_the_form_alone_and_says_the_same_again(client: str, case: dict[str, Any]) -> None:
    call = call_of(client, case)
    for target in BY_UPSTREAM.values():
        before = msgspec.json.encode(client_of(client, call.body).decode(call))
        first = send(call, client, target)
        second = send(call, client, target)
        assert msgspec.json.encode(client_of(client, call.body).decode(call)) == before
        assert (first.refusal is None) == (second.refusal is None)
        if first.request is not None and second.request is not None:
            assert first.losses == second.losses
            assert _without_minted(first.request.body) == _without_minted(second.request.body)


def _without_minted(body: bytes) -> Any:
    """Items of the responses dialect that have no id get one."""
    document = json.loads(body)
    for item in document.get("input", ()):
        if item.get("type") == "reasoning":
            del item["id"]
    return document


def test_a_loss_that_is_kept_silent_is_found() -> None:
    """The judge itself: with its report taken away, whatever was dropped is missed."""
    missed, seen = set(), 0
    for client in CLIENTS:
        for name, case in request_cases(client):
            for target in BY_UPSTREAM.values():
                call = call_of(client, case)
                sent = send(call, client, target)
                for field in [
                    field for field, how in sent.losses.items() if how == "dropped" and field not in TOLD_TWICE
                ]:
                    seen += 1
                    rest = {other: how for other, how in sent.losses.items() if other != field}
                    if not silent(client, call.body, sent, target, rest):
                        missed.add((client, name, target.name, field))
    assert seen > 200
    assert sorted(missed) == []
