"""Fair shares of what tenants use together."""

from hypothesis import given
from hypothesis import strategies as st

from intellirouter.core import has_fair_share


@given(st.lists(st.sampled_from("abcde"), max_size=600), st.integers(1, 256))
def test_no_tenant_takes_all_and_the_limit_holds(wishes: list[str], limit: int) -> None:
    held = dict.fromkeys("abcde", 0)
    for tenant in wishes:
        used = sum(held.values())
        if has_fair_share(held[tenant], used, limit):
            held[tenant] += 1
        elif limit > 1:
            assert held[tenant] > 0 or used == limit
    assert sum(held.values()) <= limit
    assert max(held.values()) <= (limit + 1) // 2


def test_newcomer_gets_a_slot_while_another_tenant_has_its_share() -> None:
    assert has_fair_share(127, 127, 256)
    assert not has_fair_share(128, 128, 256)
    assert has_fair_share(0, 128, 256)
    assert not has_fair_share(0, 256, 256)
