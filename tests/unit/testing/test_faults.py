"""Faults are pure transformations from a reply to a script."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from intellirouter.fake.openai.replies import DONE_EVENT
from intellirouter.fake.reply import Reply
from intellirouter.fake.script import Cut, Hang, Script, Wait
from intellirouter.testing import FAULT_KINDS
from intellirouter.testing.faults.fault import Fault, apply_fault
from tests.support.mock_vendor.faults import EVERY_FAULT
from tests.support.mock_vendor.requests import CLOCK, WEATHER, chat, joined


def played(fault: str, reply: Reply) -> Script:
    return apply_fault(reply, Fault.parse(fault))


def data_of(script: Script) -> bytes:
    return b"".join(step for step in script.steps if isinstance(step, bytes))


def stream_reply(**fields: Any) -> Reply:
    return chat("hello there", stream=True, stream_options={"include_usage": True}, **fields)


def events_of(script: Script) -> list[Any]:
    return [json.loads(event[6:]) for event in data_of(script).split(b"\n\n") if event.startswith(b"data: {")]


@pytest.mark.parametrize("fault", EVERY_FAULT)
@pytest.mark.parametrize("is_stream", [False, True])
def test_every_fault_changes_the_answer(fault: str, is_stream: bool) -> None:
    fields: dict[str, Any] = {}
    if "tool_args" in fault or "duplicate" in fault or "schema" in fault:
        fields = {"model": "tools", "tools": [WEATHER, CLOCK]}
    reply = stream_reply(**fields) if is_stream else chat(**fields)
    good, broken = apply_fault(reply, None), played(fault, reply)
    only_streams = ("no_d", "crlf", "comments", "no_space", "multi_line", "named_events", "usage_on", "empty_choices")
    if not is_stream and fault.partition("=")[2].startswith(only_streams):
        assert broken == good
    else:
        assert broken != good


@pytest.mark.parametrize("fault", EVERY_FAULT)
def test_faults_apply_to_errors_and_embeddings(fault: str) -> None:
    for reply in (chat(n=0), chat(model="no-such-x", stream=True)):
        assert played(fault, reply).content_length >= 0


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("nonsense", "Unknown fault kind"),
        ("slow;delay=1", "no parameter 'delay'"),
        ("slow;delay_s=soon", "must be a number"),
        ("slow;delay_s=-1", "between"),
        ("slow;delay_s=nan", "between"),
        ("huge;size_mib=9999", "between"),
        ("drop;at=noon", "must be one of"),
        ("malformed;how=badly", "must be one of"),
    ],
)
def test_unknown_kinds_and_invalid_parameters_are_rejected(fault: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault.parse(fault)


@given(st.text(max_size=60))
def test_any_header_is_a_fault_or_a_value_error(text: str) -> None:
    try:
        fault = Fault.parse(text)
    except ValueError:
        return
    assert fault.kind in FAULT_KINDS


def test_errors_have_openais_format_unless_a_body_is_given() -> None:
    script = played("error;status=503;code=overloaded", chat())
    assert script.status == 503
    assert json.loads(data_of(script))["error"]["code"] == "overloaded"
    assert data_of(played("error;body=<b>no</b>", chat())) == b"<b>no</b>"


def test_rate_limit_has_both_retry_headers() -> None:
    headers = dict(played("rate_limit;retry_after_s=1.5", chat()).headers)
    assert (headers["retry-after"], headers["retry-after-ms"]) == ("1.5", "1500")


def test_waits_are_at_the_right_place() -> None:
    assert played("slow;delay_s=2", chat()).before_head == [Wait(2.0)]
    assert played("slow_first_token;delay_s=2", chat()).steps[0] == Wait(2.0)
    assert played("hang", chat()).before_head == [Hang()]


def test_slow_drip_sends_everything_in_small_pieces() -> None:
    for reply in (chat(), stream_reply()):
        drip = played("slow_drip;bytes=3;delay_s=0.5", reply)
        assert drip.steps[::2] == [Wait(0.5)] * (len(drip.steps) // 2)
        assert max(len(step) for step in drip.steps if isinstance(step, bytes)) == 3
        assert data_of(drip) == b"".join(reply.parts)
    reply = stream_reply()
    assert played("slow_drip", reply).steps[1] == reply.parts[0]


@pytest.mark.parametrize("kind", ["drop", "reset"])
def test_cuts_follow_the_given_events_and_bytes(kind: str) -> None:
    reply = stream_reply()
    cut = Cut(is_reset=kind == "reset")
    assert played(kind, reply).before_head == [cut]
    assert played(f"{kind};at=events;after_events=2", reply).steps == [*reply.parts[:2], cut]
    body = chat()
    script = played(f"{kind};at=body;after_bytes=10", body)
    assert script.steps == [body.parts[0][:10], cut]
    assert script.content_length == len(body.parts[0])


def test_hang_in_the_middle_announces_the_full_length() -> None:
    assert played("hang;after_events=1", stream_reply()).steps[1:] == [Hang()]
    body = chat()
    assert played("hang;after_events=0", body).content_length == len(body.parts[0])


def test_valid_variants_keep_the_content() -> None:
    reply = stream_reply()
    good = joined([json.loads(part[6:]) for part in reply.parts[:-1]])
    for how in ("comments", "split", "changing_ids"):
        assert joined(events_of(played(f"malformed;how={how}", reply))) == good
    lines = data_of(played("malformed;how=multi_line", reply)).split(b"\n\n")[0].split(b"\n")
    assert len(lines) > 1
    assert all(line.startswith(b"data: ") for line in lines)
    assert b"\r\n\r\n" in data_of(played("malformed;how=crlf", reply))
    assert not data_of(played("malformed;how=no_data_prefix", reply)).startswith(b"data")
    assert DONE_EVENT not in data_of(played("malformed;how=no_done", reply))
    assert data_of(played("malformed;how=empty", reply)) == b""


def test_truncated_tool_arguments_are_not_json() -> None:
    for reply in (
        stream_reply(tools=[WEATHER], tool_choice="required"),
        chat(tools=[WEATHER], tool_choice="required"),
    ):
        script = played("malformed;how=truncated_tool_args", reply)
        if reply.is_stream:
            arguments = joined(events_of(script))["choices"][0]["tool_calls"][0]["arguments"]
        else:
            call = json.loads(data_of(script))["choices"][0]["message"]["tool_calls"][0]
            arguments = call["function"]["arguments"]
        assert arguments.startswith("{")
        with pytest.raises(json.JSONDecodeError):
            json.loads(arguments)


@pytest.mark.parametrize(("after_events", "contents"), [(0, []), (2, ["", "m:", " hello"])])
def test_error_event_follows_the_given_content(after_events: int, contents: list[str]) -> None:
    *before, last = events_of(played(f"error_in_stream;after_events={after_events}", stream_reply()))
    assert [event["choices"][0]["delta"]["content"] for event in before] == contents
    assert last["error"]["code"] == "server_error"


def test_usage_can_be_on_the_last_choice_or_missing() -> None:
    reply = stream_reply()
    usage = json.loads(reply.parts[-2][6:])["usage"]
    moved = events_of(played("extra;what=usage_on_choice", reply))
    assert moved[-1]["usage"] == usage
    assert moved[-1]["choices"][0]["finish_reason"] == "stop"
    assert not any("usage" in event for event in events_of(played("extra;what=usage_missing", reply)))


def test_usage_details_are_consistent() -> None:
    for usage in (
        events_of(played("extra;what=usage_details", stream_reply()))[-1]["usage"],
        json.loads(data_of(played("extra;what=usage_details", chat())))["usage"],
    ):
        assert usage["completion_tokens_details"]["reasoning_tokens"] == 8 < usage["completion_tokens"]
        assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


@pytest.mark.parametrize("reply", [chat(), stream_reply()])
@pytest.mark.parametrize("what", ["body", "event"])
def test_huge_answers_have_the_given_size_and_are_well_formed(reply: Reply, what: str) -> None:
    script = played(f"huge;what={what};size_mib=0.5", reply)
    assert 0 <= len(data_of(script)) - 512 * 1024 < 4096
    if reply.is_stream:
        assert joined(events_of(script))["choices"][0]["content"] == "m: hello there"
    else:
        json.loads(data_of(script))


def test_huge_headers() -> None:
    headers = played("huge;what=headers;size_mib=0.0625", chat()).headers
    assert sum(len(value) for _, value in headers) > 64 * 1024
