"""The rows of the catalogue: 63 faults and 15 invariants."""

from engine.simulation.catalogue import FaultRow, InvariantRow, Piece

_LOSSES = "tests/engine/venues/test_stream_losses.py"
_CHANNEL = "tests/engine/venues/test_channel.py"
_STREAM = "tests/engine/venues/test_stream.py"
_TRANSPORT = "tests/engine/venues/test_transport.py"
_REST_PRICES = "tests/engine/venues/test_prices.py"
_BINANCE_WIRE = "tests/engine/venues/binance/test_wire.py"
_BYBIT_WIRE = "tests/engine/venues/bybit/test_wire.py"
_BYBIT_LISTS = "tests/engine/venues/bybit/test_instruments.py"
_LEDGER = "tests/storage/test_ledger.py"
_WEBHOOK = "tests/api/routes/test_webhook.py"
_READ = "tests/api/webhook/test_read.py"
_SERVICE = "tests/scenarios/test_service.py"

MARKET_DATA = (
    FaultRow(
        1, "Silent stale socket", (4, 15), ("mute",),
        tests=(f"{_LOSSES}::test_one_silent_symbol_is_lost_and_comes_back_while_the_other_lives",),
    ),
    FaultRow(
        2, "Same tick repeated forever", (4,),
        tests=(f"{_LOSSES}::test_a_frame_repeated_for_ever_is_a_frozen_feed",),
    ),
    FaultRow(
        3, "Half-open connection: pongs, no data", (4,),
        tests=(
            f"{_LOSSES}::test_pongs_and_acknowledgements_are_no_data",
            f"{_TRANSPORT}::test_a_venue_that_answers_no_ping_is_gone",
        ),
    ),
    FaultRow(
        4, "Subscription silently failed", (4,),
        tests=(
            f"{_STREAM}::test_a_missing_acknowledgement_is_an_error",
            f"{_STREAM}::test_an_acknowledged_topic_without_a_first_tick_is_reported",
        ),
    ),
    FaultRow(
        5, "Threshold crossed inside a gap", (2, 4), ("mute", "close_1012"),
        standing="prices jump and crash while a process is down",
    ),
    FaultRow(
        6, "Reordered and duplicate ticks", (5,),
        tests=(
            f"{_LOSSES}::test_reordered_frames_are_dropped_and_equal_ones_kept",
            f"{_BINANCE_WIRE}::test_older_frames_are_dropped_on_every_channel",
        ),
    ),
    FaultRow(
        7, "Price 0, NaN, infinite or negative", (5,),
        tests=(
            f"{_CHANNEL}::test_what_is_no_price_is_dropped_and_counted",
            f"{_BINANCE_WIRE}::test_what_is_no_price_is_dropped_on_every_channel",
        ),
    ),
    FaultRow(
        8, "Crossed or empty book", (5,),
        tests=(
            f"{_CHANNEL}::test_quotes_that_are_none_are_counted_by_reason",
            f"{_REST_PRICES}::test_a_touch_has_both_sides_uncrossed_or_none",
        ),
    ),
    FaultRow(9, "Absurd wick", (4, 5), ("spike",)),
    FaultRow(
        10, "Slow consumer", (4,), ("lag",),
        tests=(
            f"{_CHANNEL}::test_conflation_hides_no_threshold",
            f"{_TRANSPORT}::test_a_reader_that_lags_stops_the_socket_and_then_gets_everything",
        ),
    ),
    FaultRow(11, "Delisted", (14, 15), ("delist",)),
    FaultRow(
        12, "Maintenance, close 1012", (13, 15), ("close_1012",),
        tests=(f"{_LOSSES}::test_a_close_1012_is_logged_and_told_once_and_the_topics_come_back",),
    ),
    FaultRow(
        13, "Binance's 24 h cut, serverShutdown", (4,),
        tests=(
            f"{_LOSSES}::test_connections_are_replaced_before_the_venue_cuts_them",
            f"{_LOSSES}::test_a_server_shutdown_moves_to_a_new_connection_without_a_gap",
        ),
    ),
    FaultRow(
        14, "listenKey expires", (6,), owed=Piece.VENUES,
        owes="the private streams and their keys",
    ),
    FaultRow(
        15, "Pong missed", (4,),
        tests=(
            f"{_STREAM}::test_application_pings_are_sent",
            f"{_TRANSPORT}::test_pings_are_answered_and_sent_for_as_long_as_they_are_answered",
        ),
    ),
    FaultRow(
        16, "Unknown enum or field", (14,),
        tests=(
            f"{_LOSSES}::test_garbage_never_stops_the_feed_and_is_logged_once_a_kind",
            f"{_BYBIT_WIRE}::test_funding_merges_by_field_and_odd_values_cost_no_mark_price",
            f"{_BYBIT_LISTS}::test_one_odd_symbol_does_not_lose_the_list",
        ),
        owed=Piece.VENUES, owes="the same for order and account messages",
    ),
)  # fmt: skip

ORDER_PATH = (
    FaultRow(17, "Accepted, response lost", (1, 2, 11), ("drop_rsp",)),
    FaultRow(18, "Request lost, or late on its way", (2, 14), ("drop_req", "late_req")),
    FaultRow(19, '"Not found" just after the venue accepted', (11,), ("late_vis",)),
    FaultRow(
        20, "Duplicate submit", (1,),
        standing="Binance spot takes an id again once its first order is filled, Bybit never",
    ),
    FaultRow(21, "5xx, -1006, -1007, 10000: outcome unknown", (11,), ("5xx_after",)),
    FaultRow(22, "Acknowledged, and refused later", (2,), ("late_rej",)),
    FaultRow(
        23, "SDK repeats a POST or sleeps", (1, 4), owed=Piece.VENUES,
        owes="the client libraries' own retries are off, and none blocks the loop",
    ),
    FaultRow(
        24, "Minimum notional, lot, precision", (13, 14), ("rej_filters",),
        standing="instruments have coarse steps and minimums that leave dust",
    ),
    FaultRow(
        25, "Reduce-only refused, already flat", (2, 6), ("ext", "liq"),
        standing="the venue refuses reduce-only orders on what is flat",
    ),
    FaultRow(
        26, "Resting order blocks the close", (14,), owed=Piece.VENUES,
        owes="the wide stop that rests on the exchange: nothing rests there before it",
    ),
    FaultRow(27, "Partial fill", (1, 2, 6), ("partial",)),
    FaultRow(
        28, "Fee taken in the base asset", (1, 14), ("fee_base", "fee_third"),
        standing="spot entries pay their fee in base, at some venues in a third asset",
    ),
    FaultRow(29, "429, 10006", (13,), ("limit",)),
    FaultRow(
        30, "IP ban", (13, 15), ("ban",), owed=Piece.VENUES,
        owes="that the wide stop on the exchange remains",
    ),
    FaultRow(
        31, "Clock skew -1021, 10002", (14,), ("skew",), owed=Piece.VENUES,
        owes="the server's offset is read and the request signed anew",
    ),
    FaultRow(
        32, "Price band -4131", (13, 14), ("rej_band",), owed=Piece.VENUES,
        owes="an IOC ladder at the band",
    ),
    FaultRow(33, "Overload -1008", (13,), ("overload",)),
    FaultRow(34, "ADL, liquidation", (3, 6), ("liq",)),
    FaultRow(35, "Manual close or add on the venue", (1, 6), ("ext", "ext_add")),
    FaultRow(
        36, "Hedge or one-way mismatch", (1, 3), owed=Piece.VENUES,
        owes="the account's mode is read, and both are served",
    ),
    FaultRow(37, "Fill event lost", (6,), ("drop_evt",)),
    FaultRow(
        38, "Fill told twice or late, replayed at a restart", (6,), ("dup_evt", "late_evt"),
        tests=(f"{_SERVICE}::test_orders_in_flight_at_a_sigkill_are_booked_once",),
    ),
    FaultRow(39, "Position query error", (3, 11), ("err_pos", "err_look", "outage")),
    FaultRow(
        40, "Recovery invents a fill", (3, 6), ("ext", "liq"),
        standing="processes die while positions change on the venue",
    ),
    FaultRow(
        41, "Take-profit, stop and manual close race", (2,),
        standing="the owner closes and amends at the moments at which prices trigger",
    ),
    FaultRow(
        63, "Venue breaks its API", (3, 15), owed=Piece.VENUES,
        owes="a canary per order type at the start and daily",
    ),
)  # fmt: skip

PROCESS = (
    FaultRow(
        42, "kill -9 between any steps", (),
        standing="half of the lifetimes have a crash before or after any effect",
        tests=(
            "tests/storage/test_crash.py::test_five_sigkills_lose_nothing_acknowledged",
            "tests/engine/simulator/test_paper_crash.py::test_five_sigkills_lose_no_fill_that_was_told",
            f"{_SERVICE}::test_after_a_sigkill_open_positions_are_guarded_again",
        ),
    ),
    FaultRow(
        43, "Disk full", (7, 10), ("enospc",),
        tests=(f"{_LEDGER}::test_a_full_disk_is_retryable_with_nothing_written",),
        owed=Piece.STORAGE, owes="a ballast from which closes are journalled",
    ),
    FaultRow(
        44, "Database locked or slow", (10,), ("busy", "slow_disk", "lost_commit"),
        tests=(f"{_LEDGER}::test_a_locked_database_is_retryable_with_nothing_written",),
    ),
    FaultRow(
        45, "Database corrupt", (3,),
        tests=("tests/storage/test_database.py::test_a_damaged_file_breaks_an_invariant",),
        owed=Piece.STORAGE, owes="the guard goes on from memory; restore and check",
    ),
    FaultRow(46, "Clock jump", (4,), ("jump",)),
    FaultRow(47, "Loop stall", (4, 15), ("stall",)),
    FaultRow(
        48, "Out of memory", (14,),
        standing="an OOM kill is a crash like any other",
        tests=(
            "tests/engine/test_flow.py::"
            "test_a_full_journal_refuses_new_work_and_still_takes_what_happened",
            f"{_TRANSPORT}::test_one_read_is_bounded",
        ),
    ),
    FaultRow(
        49, "Two instances", (12,), ("twin",),
        tests=(
            "tests/storage/test_lock.py::test_a_second_process_is_refused_and_told_who_holds_it",
            f"{_SERVICE}::test_a_second_service_on_one_folder_is_refused_by_name",
        ),
    ),
    FaultRow(50, "Host gone", (3,), owed=Piece.VENUES, owes="the wide stop on the exchange"),
)  # fmt: skip

PEOPLE = (
    FaultRow(51, "Duplicate webhook", (9,), ("dup_post",)),
    FaultRow(
        52, "Replay", (8, 9), ("late_post",),
        tests=(
            f"{_WEBHOOK}::test_a_replayed_signature_opens_nothing",
            "tests/api/webhook/test_secret.py::"
            "test_outside_of_the_window_a_right_signature_is_wrong",
        ),
    ),
    FaultRow(53, "Close before open", (5, 9), ("swap",)),
    FaultRow(
        54, "Handler slow", (7,), ("slow_disk", "stall"),
        tests=(f"{_WEBHOOK}::test_a_stalled_commit_is_answered_in_time_and_recognised_later",),
    ),
    FaultRow(
        55, "Malformed, huge or nested JSON, NaN", (7,),
        tests=(
            f"{_READ}::test_any_bytes_are_an_object_or_a_problem",
            f"{_READ}::test_a_body_over_16_kib_is_refused_before_it_is_parsed",
            f"{_WEBHOOK}::test_malformed_bodies_are_refused_noted_and_harmless",
        ),
    ),
    FaultRow(
        56, "Flood", (4, 13),
        tests=(
            "tests/api/webhook/test_throttle.py::"
            "test_an_address_may_burst_and_then_waits_for_the_refill",
            "tests/scenarios/test_slow_clients.py::"
            "test_a_flood_of_slow_clients_takes_no_descriptor_that_guarding_needs",
        ),
        owed=Piece.API, owes="buckets for each key and address",
    ),
    FaultRow(
        57, "Wrong secret", (8,),
        tests=(
            f"{_WEBHOOK}::test_wrong_secrets_are_throttled_and_the_right_one_still_passes",
            f"{_WEBHOOK}::test_a_wrong_secret_is_answered_before_wrong_fields",
        ),
    ),
    FaultRow(58, "Telegram down", (4,), owed=Piece.TELEGRAM, owes="the outbox's delivery"),
    FaultRow(59, "Telegram 429", (13,), owed=Piece.TELEGRAM, owes="retry_after is obeyed"),
    FaultRow(60, "Two pollers, 409", (14,), owed=Piece.TELEGRAM, owes="polling stops, sending not"),
    FaultRow(
        61, "Stranger, group, stale button", (2, 8), owed=Piece.TELEGRAM,
        owes="user and chat are checked, buttons are used once",
    ),
    FaultRow(62, "Markup injection", (15,), owed=Piece.TELEGRAM, owes="one escaper"),
)  # fmt: skip

FAULTS = tuple(sorted((*MARKET_DATA, *ORDER_PATH, *PROCESS, *PEOPLE), key=lambda row: row.number))

INVARIANTS = (
    InvariantRow(1, "No oversell", ("no_oversell", "net_side")),
    InvariantRow(
        2,
        "One trigger, one net close",
        (
            "one_net_close",
            "id_bound_to_request",
            "id_taken_once",
            "close_within_held",
            "rungs_within_asked",
            "dust_is_unsellable",
            "close_after_backstop",
        ),
    ),
    InvariantRow(
        3,
        "No unguarded position at rest",
        ("guarded_at_rest", "known_holding", "backstop_rests", "backstop_beyond_stop"),
    ),
    InvariantRow(
        4,
        "Bounded detection",
        (
            "crossing_closes",
            "deadline_closes",
            "rung_closes",
            "missed_limit_told",
            "peak_kept",
            "entry_durable",
        ),
    ),
    InvariantRow(5, "No false close", ("close_has_cause", "stop_confirmed", "backstop_had_price")),
    InvariantRow(
        6,
        "Ledger equals exchange",
        (
            "fills_equal",
            "foreign_fills_exist",
            "foreign_goes_first",
            "sums_equal",
            "orders_equal",
            "holdings_equal",
        ),
    ),
    InvariantRow(
        7,
        "An answer of 2xx is durable",
        ("answered_is_durable", "accepted_closes", "amendments_last"),
    ),
    InvariantRow(8, "Every order traces to a cause", ("order_has_cause",)),
    InvariantRow(
        9,
        "Many deliveries, at most one position",
        (
            "one_position_a_signal",
            "one_id_a_signal",
            "superseded_opens_nothing",
            "entry_is_fresh",
        ),
    ),
    InvariantRow(
        10, "Intent is committed before the exchange has it", ("intent_first", "exit_sequence")
    ),
    InvariantRow(
        11,
        "Unknown never becomes failed by a timeout",
        ("never_after_final", "in_flight_within_held", "backstop_is_one"),
    ),
    InvariantRow(
        12,
        "At most one writer",
        ("stale_commits", "stale_requests", "writes_with_lease", "taker_waits"),
    ),
    InvariantRow(
        13, "Requests are bounded", ("requests_bounded", "retry_after_kept", "venue_pause_kept")
    ),
    InvariantRow(14, "Liveness", ("comes_to_rest", "orders_final", "signals_settled")),
    InvariantRow(
        15,
        "Each degradation alerts once and clears",
        ("alarm_alternates", "alarm_clears", "stuck_told_once", "blindness_told", "no_secrets"),
    ),
)
