"""The fields themselves: what each is called, and what is secret."""

import pytest

from engine.settings_fields import GROUPS, NAMES, SECRETS, Fields, is_loopback


def test_every_field_has_a_short_description():
    for field, info in Fields.model_fields.items():
        assert info.description, field
        assert 8 <= len(info.description) <= 90, field


def test_every_group_begins_at_a_field():
    assert set(GROUPS) <= set(Fields.model_fields)
    assert next(iter(Fields.model_fields)) in GROUPS


def test_names_are_the_fields_in_capitals():
    assert {name.lower(): name.upper() for name in NAMES} == {v: k for k, v in NAMES.items()}


def test_everything_that_opens_an_account_or_a_door_is_secret():
    wanted = {
        name
        for name in Fields.model_fields
        if name.endswith(("_key", "_secret", "_passphrase", "_token"))
    }
    assert wanted <= SECRETS
    assert {"smtp_url", "notify_urls", "heartbeat_url"} <= SECRETS


def test_building_fields_reads_no_environment(tmp_path):
    assert Fields() == Fields(trading_mode="paper")


def test_an_unknown_field_is_refused():
    with pytest.raises(ValueError, match="take_profit"):
        Fields(take_profit=3)


def test_a_home_folder_is_expanded():
    assert "~" not in str(Fields(data_dir="~/data").data_dir)


@pytest.mark.parametrize(
    ("host", "answer"),
    [("localhost", True), ("127.0.0.1", True), ("::1", True), ("0.0.0.0", False), ("host", False)],
)
def test_loopback_is_told_from_other_addresses(host, answer):
    assert is_loopback(host) is answer
