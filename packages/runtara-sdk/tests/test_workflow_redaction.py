"""What counts as a secret in events: by the names under which credentials stand."""

from typing import Any

import pytest
from runtara_sdk.workflow.redaction import REDACTED, names_secret, redact


@pytest.mark.parametrize(
    "name",
    [
        "_connection",
        "Authorization",
        "proxy-authorization",
        "Cookie",
        "Set-Cookie",
        "password",
        "userPassword",
        "db_password",
        "PASSWORD",
        "api_key",
        "apiKey",
        "X-Api-Key",
        "APIKey",
        "apikey",
        "secret",
        "clientSecret",
        "client_secret",
        "access_token",
        "accessToken",
        "token",
        "X-Auth-Token",
        "private_key",
        "credentials",
        "passphrase",
        "auth.token",
        "jwt",
    ],
)
def test_names_of_secrets(name: str) -> None:
    assert names_secret(name)
    assert redact({name: {"a": 1}}) == {name: REDACTED}


@pytest.mark.parametrize(
    "name",
    [
        "token_count",
        "key",
        "primary_key",
        "connection",
        "connection_id",
        "passwordless",
        "tokenize",
        "order",
        "author",
        "secretary",
        "cookieConsent",
    ],
)
def test_names_of_what_is_none(name: str) -> None:
    assert not names_secret(name)


@pytest.mark.parametrize("value", [None, 1, "a", [1, {"b": None}], {"password": None}, {"": 1}, {"a": {"b": [True]}}])
def test_everything_else_stays(value: Any) -> None:
    assert redact(value) == value


def test_secrets_inside_of_lists_and_objects() -> None:
    assert redact([{"headers": {"Cookie": "a=b", "Accept": "*/*"}}]) == [
        {"headers": {"Cookie": REDACTED, "Accept": "*/*"}}
    ]
