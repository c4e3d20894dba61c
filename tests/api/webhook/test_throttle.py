from api.webhook.throttle import MAX_ADDRESSES, Throttle
from tests.api.clocks import SteppedClock


def test_an_address_may_burst_and_then_waits_for_the_refill() -> None:
    clock = SteppedClock()
    throttle = Throttle(clock, burst=3, per_second=1.0)
    assert [throttle.take("192.0.2.1") for _ in range(4)] == [True, True, True, False]
    clock.advance(0.5)
    assert not throttle.take("192.0.2.1")
    clock.advance(0.6)
    assert throttle.take("192.0.2.1")
    assert not throttle.take("192.0.2.1")


def test_addresses_do_not_share_a_bucket_and_a_full_one_does_not_overflow() -> None:
    clock = SteppedClock()
    throttle = Throttle(clock, burst=1, per_second=1.0)
    assert throttle.take("192.0.2.1")
    assert throttle.take("192.0.2.2")
    clock.advance(100)
    assert throttle.take("192.0.2.1")
    assert not throttle.take("192.0.2.1")


def test_an_ipv6_site_is_one_sender_and_a_mapped_address_its_ipv4_self() -> None:
    throttle = Throttle(SteppedClock(), burst=1, per_second=0.001)
    assert throttle.take("2001:db8::1")
    assert not throttle.take("2001:db8::ffff:1")
    assert throttle.take("2001:db8:0:1::1")
    assert throttle.take("::ffff:192.0.2.1")
    assert throttle.take("::ffff:192.0.2.2")


def test_the_address_seen_longest_ago_is_forgotten_first() -> None:
    throttle = Throttle(SteppedClock(), burst=1, per_second=0.001)
    assert throttle.take("first")
    for number in range(MAX_ADDRESSES - 1):
        throttle.take(f"client {number}")
    assert not throttle.take("first")
    throttle.take("one more")
    assert not throttle.take("first")
    assert throttle.take("client 0")
