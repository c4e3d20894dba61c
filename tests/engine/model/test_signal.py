from engine.model.signal import body_digest


def test_equal_bodies_have_equal_digests():
    assert body_digest("a") == body_digest("a")
    assert body_digest("a") != body_digest("b")
    assert len(body_digest("\u20ac")) == 64
