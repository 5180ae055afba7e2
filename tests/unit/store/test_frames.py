from hypothesis import given, settings
from hypothesis import strategies as st

from intellirouter.store.frames import encode_frame, split_frames

bodies = st.lists(st.text(min_size=1).map(lambda text: b'{"t":' + repr(text).encode().replace(b"\n", b"") + b"}"))


@settings(deadline=None)
@given(bodies)
def test_whole_frames_come_out_as_they_went_in(wanted: list[bytes]) -> None:
    data = b"".join(map(encode_frame, wanted))
    assert split_frames(data, len(wanted) + 1) == (wanted, [], len(data))


@settings(deadline=None)
@given(bodies, st.data())
def test_a_torn_tail_is_left_for_later(wanted: list[bytes], data: st.DataObject) -> None:
    whole = b"".join(map(encode_frame, wanted))
    last = encode_frame(b'{"last":true}')
    torn = last[: data.draw(st.integers(0, len(last) - 1))]
    assert split_frames(whole + torn, len(wanted) + 2) == (wanted, [], len(whole))


@settings(deadline=None)
@given(bodies, st.lists(st.binary(max_size=40)))
def test_garbage_between_frames_costs_no_record(wanted: list[bytes], garbage: list[bytes]) -> None:
    pieces = []
    for index, body in enumerate(wanted):
        if index < len(garbage):
            pieces.append(garbage[index])
        pieces.append(encode_frame(body))
    data = b"".join(pieces)
    found, damaged, consumed = split_frames(data, 10_000)
    assert found == wanted
    assert consumed == len(data)
    assert sum(map(len, damaged)) <= sum(map(len, garbage))


def test_a_changed_byte_condemns_only_its_own_record() -> None:
    first, second, third = (encode_frame(b'{"n":%d}' % n) for n in range(3))
    found, damaged, _ = split_frames(first + second.replace(b"1}", b"7}") + third, 10)
    assert found == [b'{"n":0}', b'{"n":2}']
    assert damaged == [second.replace(b"1}", b"7}").rstrip(b"\n")]


def test_no_more_lines_are_taken_than_asked_for() -> None:
    lines = [encode_frame(b"{}")] * 5
    found, _, consumed = split_frames(b"".join(lines), 2)
    assert (len(found), consumed) == (2, 2 * len(lines[0]))


def test_a_line_made_of_frame_starts_is_given_up_in_bounded_time() -> None:
    line = b"00000000 {" * 100_000
    assert split_frames(line + b"\n", 10) == ([], [line], len(line) + 1)
