from hypothesis import given, settings
from hypothesis import strategies as st

from intellirouter.store.record_lines import encode_line, split_lines

bodies = st.lists(st.text(min_size=1).map(lambda text: b'{"t":' + repr(text).encode().replace(b"\n", b"") + b"}"))


@settings(deadline=None)
@given(bodies)
def test_whole_lines_are_returned_unchanged(wanted: list[bytes]) -> None:
    data = b"".join(map(encode_line, wanted))
    assert split_lines(data, len(wanted) + 1) == (wanted, [], len(data))


@settings(deadline=None)
@given(bodies, st.data())
def test_torn_tail_is_not_consumed(wanted: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(encode_line, wanted))
    last = encode_line(b'{"last":true}')
    torn = last[: data.draw(st.integers(0, len(last) - 1))]
    assert split_lines(whole + torn, len(wanted) + 2) == (wanted, [], len(whole))


@settings(deadline=None)
@given(bodies, st.lists(st.binary(max_size=40)))
def test_garbage_between_lines_damages_no_record(wanted: list[bytes], garbage: list[bytes]) -> None:
    pieces = []
    for index, body in enumerate(wanted):
        if index < len(garbage):
            pieces.append(garbage[index])
        pieces.append(encode_line(body))
    data = b"".join(pieces)
    found, damaged, consumed = split_lines(data, 10_000)
    assert found == wanted
    assert consumed == len(data)
    assert sum(map(len, damaged)) <= sum(map(len, garbage))


def test_changed_byte_damages_only_its_own_record() -> None:
    first, second, third = (encode_line(b'{"n":%d}' % n) for n in range(3))
    found, damaged, _ = split_lines(first + second.replace(b"1}", b"7}") + third, 10)
    assert found == [b'{"n":0}', b'{"n":2}']
    assert damaged == [second.replace(b"1}", b"7}").rstrip(b"\n")]


def test_number_of_lines_is_limited() -> None:
    lines = [encode_line(b"{}")] * 5
    found, _, consumed = split_lines(b"".join(lines), 2)
    assert (len(found), consumed) == (2, 2 * len(lines[0]))


def test_line_of_many_line_starts_is_given_up_in_bounded_time() -> None:
    line = b"00000000 {" * 100_000
    assert split_lines(line + b"\n", 10) == ([], [line], len(line) + 1)
