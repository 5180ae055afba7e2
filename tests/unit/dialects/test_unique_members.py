"""Members that may occur only once are checked while a request is decoded."""

import msgspec
import pytest

from intellirouter.core import errors
from intellirouter.dialects.wire.unique_members import NOT_STREAMED, UniqueDecoder, UniqueModel, UniqueStream


class _Request(msgspec.Struct):
    model: UniqueModel
    stream: UniqueStream = NOT_STREAMED
    nested: msgspec.Raw = msgspec.Raw()


_DECODER = UniqueDecoder(_Request)


@pytest.mark.parametrize(
    ("body", "name"),
    [
        (b'{"model":"a","model":"b"}', "model"),
        (b'{"model":"a","model":"a"}', "model"),
        (b'{"model":"a","mod\\u0065l":"b"}', "model"),
        (b'{"model":"a","stream":false,"x":1,"stream":true}', "stream"),
        (b'{"stream":false,"\\u0073tream":true,"model":"a"}', "stream"),
        (b'{"model":"a","stream":null,"stream":true}', "stream"),
        (b'{"model":"a","stream":true,"stream":null}', "stream"),
        (b'{"model":"a","stream":null,"stream":null}', "stream"),
    ],
)
def test_member_that_occurs_twice_is_refused(body: bytes, name: str) -> None:
    with pytest.raises(errors.InvalidRequest) as caught:
        _DECODER.decode(body)
    assert (caught.value.code, caught.value.param) == ("duplicate_parameter", name)


@pytest.mark.parametrize("stream", ["true", "false", "null"])
def test_members_that_occur_once_are_decoded(stream: str) -> None:
    request = _DECODER.decode(
        b'{"model":"a","stream":%s,"nested":{"model":"b","stream":1,"model":2}}' % stream.encode()
    )
    assert str(request.model) == "a"
    assert request.stream == (stream == "true")


@pytest.mark.parametrize(
    ("member", "value"),
    [("model", value) for value in ("1", "1.5", "true", "null", "[]", "{}")]
    + [("stream", value) for value in ("1", "1.5", '"true"', "[]", "{}")],
)
def test_errors_of_types_are_those_of_the_decoder(member: str, value: str) -> None:
    class Plain(msgspec.Struct):
        model: str
        stream: bool | None = None

    body = b'{"model":"a","%s":%s}' % (member.encode(), value.encode())
    body = body.replace(b'"model":"a",', b"") if member == "model" else body
    with pytest.raises(msgspec.ValidationError) as expected:
        msgspec.json.decode(body, type=Plain)
    with pytest.raises(msgspec.ValidationError) as caught:
        _DECODER.decode(body)
    assert str(caught.value) == str(expected.value)
