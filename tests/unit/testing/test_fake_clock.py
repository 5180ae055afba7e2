import pytest

from intellirouter.core import Clock
from intellirouter.testing import FakeClock


def test_clock_moves_only_when_advanced() -> None:
    fake = FakeClock(monotonic_s=5.0, epoch_us=7)
    clock: Clock = fake
    assert (clock.monotonic_s(), clock.epoch_us()) == (5.0, 7)
    fake.advance(1.5)
    assert (clock.monotonic_s(), clock.epoch_us()) == (6.5, 1_500_007)


def test_clock_cannot_go_back() -> None:
    with pytest.raises(ValueError, match="cannot go back"):
        FakeClock().advance(-0.1)
