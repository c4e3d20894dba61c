from engine.simulator.market_sequences import Sequences, SharedSequence, Steps


def test_recorded_numbers_are_kept_with_their_gaps() -> None:
    steps = Steps(10)
    assert [steps.follow(n) for n in (700, 701, 705)] == [700, 701, 705]


def test_a_seam_goes_on_with_the_next_number() -> None:
    steps = Steps(10)
    steps.follow(700)
    steps.follow(701)
    steps.cut()
    assert [steps.follow(n) for n in (700, 703)] == [702, 705]


def test_a_scripted_number_leaves_no_gap_however_far_the_recording_went_on() -> None:
    steps = Steps(10)
    steps.follow(700)
    assert steps.fresh() == 701
    assert steps.follow(900) == 702
    assert steps.follow(901) == 703


def test_a_recording_that_starts_after_a_script_continues_its_numbers() -> None:
    steps = Steps(10)
    assert steps.fresh() == 11
    assert steps.follow(700) == 12


def test_numbers_rise_even_where_the_recorded_ones_do_not() -> None:
    steps = Steps(0)
    assert [steps.follow(n) for n in (5, 5, 4)] == [5, 6, 7]


def test_a_shared_sequence_keeps_equal_and_lagging_numbers_within_a_loop() -> None:
    shared = SharedSequence(1)
    assert [shared.follow(n) for n in (100, 100, 98)] == [100, 100, 98]
    assert shared.last == 100


def test_a_shared_sequence_rises_over_breaks_for_every_channel() -> None:
    shared = SharedSequence(1)
    shared.follow(100)
    scripted = shared.fresh()
    assert scripted == 101
    leading, lagging = shared.follow(50), shared.follow(20)
    assert scripted < lagging < leading
    shared.cut()
    assert shared.follow(1) > leading


def test_times_never_fall_within_a_channel() -> None:
    ids = Sequences()
    assert [ids.rising_ms("trade", ms) for ms in (5, 4, 6)] == [5, 5, 6]
    assert ids.rising_ms("quote", 1) == 1
