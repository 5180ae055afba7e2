"""The memory of where sessions were served: it slides, it expires, and it is bounded."""

from intellirouter.routing import Placement, Placements


def test_placement_is_found_until_it_expires() -> None:
    places = Placements()
    places.note(b"k", Placement("a", 100.0))
    assert places.find(b"other", 100.0, 300.0) is None
    assert places.find(b"k", 400.0, 300.0) == Placement("a", 100.0)
    assert places.find(b"k", 400.1, 300.0) is None
    places.note(b"k", Placement("b", 350.0, credential="c", cached_tokens=7))
    found = places.find(b"k", 600.0, 300.0)
    assert found is not None
    assert (found.deployment, found.credential, found.cached_tokens) == ("b", "c", 7)


def test_least_recently_used_placement_is_forgotten_first() -> None:
    places = Placements(max_placements=2)
    for key in (b"1", b"2", b"1", b"3"):
        places.note(key, Placement("a", 0.0))
    assert len(places) == 2
    assert [places.find(key, 0.0, 1.0) is not None for key in (b"1", b"2", b"3")] == [True, False, True]
