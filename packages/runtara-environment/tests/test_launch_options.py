"""Variables that a start may give its program."""

from __future__ import annotations

import pytest
from runtara_environment.launch_options import LaunchOptions, require_acceptable_variables
from runtara_sdk.errors import InvalidInputError


def test_a_start_may_tune_timing_but_not_identity_address_or_trust() -> None:
    require_acceptable_variables({"RUNTARA_SLEEP_THRESHOLD": "500ms", "RUNTARA_HEARTBEAT_INTERVAL_MS": "0", "MINE": ""})
    for name in ("RUNTARA_INSTANCE_ID", "RUNTARA_SERVER_ADDR", "RUNTARA_CA_FILE", "RUNTARA_NEW", "PATH", "LD_PRELOAD"):
        with pytest.raises(InvalidInputError, match=f"{name} is reserved"):
            require_acceptable_variables({name: "x"})


@pytest.mark.parametrize(
    ("env", "reason"),
    [
        ({f"V{number}": "" for number in range(201)}, "201 variables"),
        ({"N" * 256: ""}, "longer than 255 characters"),
        ({"V": "\u00fc" * 17_000}, "longer than 32768 bytes"),
        ({f"V{number}": "x" * 32_000 for number in range(40)}, "more than 1048576"),
    ],
)
def test_variables_that_no_program_could_be_started_with_are_refused(env: dict[str, str], reason: str) -> None:
    with pytest.raises(InvalidInputError, match=reason) as caught:
        require_acceptable_variables(env)
    assert len(caught.value.message) < 300


def test_options_come_back_as_they_were_stored() -> None:
    options = LaunchOptions(digest="ab", timeout_seconds=5, env={"MINE": "1"})
    assert LaunchOptions.decode(options.encode()) == options
    assert LaunchOptions.decode(b'{"digest": "ab", "of_a_later_version": 1}') == LaunchOptions(digest="ab")


@pytest.mark.parametrize(
    ("stored", "reason"),
    [
        (b"", "Expecting value"),
        (b"\xff", "decode"),
        (b"[]", "not a JSON object"),
        (b'{"timeout_seconds": 5}', "'digest' is missing"),
        (b'{"digest": 1}', "digest is not text"),
        (b'{"digest": "ab", "timeout_seconds": 0}', "positive integer"),
        (b'{"digest": "ab", "timeout_seconds": true}', "positive integer"),
        (b'{"digest": "ab", "env": {"A": 1}}', "object of texts"),
    ],
)
def test_options_that_are_not_readable_say_why(stored: bytes, reason: str) -> None:
    with pytest.raises(InvalidInputError, match=f"not readable: .*{reason}"):
        LaunchOptions.decode(stored)
