"""Fair shares of what tenants use together. Pure."""


def has_fair_share(held: int, used: int, limit: int) -> bool:
    """Return whether a tenant that holds `held` of `limit` slots, of which `used` are taken, may take another one.

    A tenant may hold at most as many as are free: half of all slots if it is alone, a quarter if another tenant has its
    half already, and so on. So there is a slot left for every newcomer.
    """
    return held < limit - used
