from engine.venues.subscriptions import RETRY_SECONDS, Subscriptions


def make(*topics: str, most: int = 3) -> tuple[dict[str, object], Subscriptions]:
    wanted: dict[str, object] = dict.fromkeys(topics)
    return wanted, Subscriptions(wanted, most, ack_seconds=5.0)


def test_topics_are_asked_in_batches_and_only_once():
    _, subscriptions = make("a", "b", "c", "d")
    first, second = subscriptions.next_request(0.0), subscriptions.next_request(0.0)
    assert (first.topics, second.topics) == (("a", "b", "c"), ("d",))
    assert subscriptions.next_request(0.0) is None
    assert not subscriptions.complete()
    subscriptions.acknowledge(second.request_id)
    subscriptions.acknowledge("")
    assert subscriptions.complete()
    assert subscriptions.active == {"a", "b", "c", "d"}
    assert subscriptions.wait_seconds(0.0) is None


def test_a_refused_batch_is_asked_again_topic_by_topic_and_then_reported():
    _, subscriptions = make("a", "b")
    batch = subscriptions.next_request(0.0)
    failure = subscriptions.refuse(batch.request_id, "bad", 1.0)
    assert failure.reported == ()
    assert subscriptions.next_request(1.0) is None
    assert subscriptions.wait_seconds(1.0) == RETRY_SECONDS[0]
    single = subscriptions.next_request(1.5)
    assert single.topics == ("a",)
    assert subscriptions.refuse(single.request_id, "bad", 2.0).reported == ("a",)
    other = subscriptions.next_request(2.0)
    assert other.topics == ("b",)
    subscriptions.acknowledge(other.request_id)
    assert subscriptions.next_request(30.0) is None
    assert subscriptions.next_request(2.0 + RETRY_SECONDS[1]).topics == ("a",)


def test_a_request_without_an_answer_expires():
    _, subscriptions = make("a")
    request = subscriptions.next_request(0.0)
    assert subscriptions.wait_seconds(1.0) == 4.0
    assert subscriptions.expire(4.9) == []
    (failure,) = subscriptions.expire(5.0)
    assert (failure.request, failure.reason) == (request, "not acknowledged")
    assert subscriptions.acknowledge(request.request_id) is None
    assert subscriptions.refuse(request.request_id, "late", 6.0) is None


def test_what_is_no_longer_wanted_is_ended_once():
    wanted, subscriptions = make("a", "b")
    subscriptions.acknowledge(subscriptions.next_request(0.0).request_id)
    del wanted["a"]
    request = subscriptions.next_request(1.0)
    assert (request.topics, request.subscribe) == (("a",), False)
    assert subscriptions.next_request(1.0) is None
    assert subscriptions.refuse(request.request_id, "no such topic", 2.0).reported == ()
    assert subscriptions.active == {"b"}
    assert subscriptions.next_request(2.0) is None


def test_a_topic_wanted_again_while_it_ends_is_asked_again():
    wanted, subscriptions = make("a")
    subscriptions.acknowledge(subscriptions.next_request(0.0).request_id)
    del wanted["a"]
    ending = subscriptions.next_request(1.0)
    wanted["a"] = None
    assert subscriptions.next_request(1.0) is None
    subscriptions.acknowledge(ending.request_id)
    assert subscriptions.next_request(1.0).topics == ("a",)
