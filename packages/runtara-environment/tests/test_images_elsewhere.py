"""Which images a host leaves to others, and for how long."""

from __future__ import annotations

from runtara_core.management import MAX_IMAGES_WITHOUT
from runtara_environment.supervision.images_elsewhere import LOOK_AGAIN_MS, ImagesElsewhere
from runtara_sdk.testing.clock import ManualClock


def test_an_image_is_left_to_others_for_a_while() -> None:
    clock = ManualClock()
    elsewhere = ImagesElsewhere(clock)
    assert (elsewhere.now(), elsewhere.change_ms()) == ((), None)
    elsewhere.add("one")
    clock.advance(LOOK_AGAIN_MS // 2)
    elsewhere.add("two")
    assert elsewhere.now() == ("one", "two")
    assert elsewhere.change_ms() == LOOK_AGAIN_MS // 2
    clock.advance(LOOK_AGAIN_MS // 2)
    assert elsewhere.now() == ("two",)
    elsewhere.remove("two")
    elsewhere.remove("unknown")
    assert (elsewhere.now(), elsewhere.change_ms()) == ((), None)


def test_no_more_are_left_out_than_a_claim_may_name() -> None:
    clock = ManualClock()
    elsewhere = ImagesElsewhere(clock)
    for number in range(MAX_IMAGES_WITHOUT):
        assert elsewhere.add(f"image-{number}")
    assert not elsewhere.add("one more")
    assert elsewhere.add("image-0")
    assert len(elsewhere.now()) == MAX_IMAGES_WITHOUT
    clock.advance(LOOK_AGAIN_MS)
    assert elsewhere.add("one more")
    assert elsewhere.now() == ("one more",)


def test_a_clock_that_is_set_back_keeps_nothing_for_longer() -> None:
    clock = ManualClock()
    elsewhere = ImagesElsewhere(clock)
    elsewhere.add("one")
    clock.advance(-5 * LOOK_AGAIN_MS)
    assert elsewhere.now() == ()


def test_an_image_may_be_left_to_others_for_longer() -> None:
    clock = ManualClock()
    elsewhere = ImagesElsewhere(clock)
    elsewhere.add("one", 3 * LOOK_AGAIN_MS)
    clock.advance(2 * LOOK_AGAIN_MS)
    assert (elsewhere.now(), elsewhere.change_ms()) == (("one",), LOOK_AGAIN_MS)
