from pathlib import Path

import pytest
from runtara_sdk import ConfigurationError, InstanceSettings
from runtara_sdk.settings import EnvironmentReader

REQUIRED = {"RUNTARA_INSTANCE_ID": "i", "RUNTARA_TENANT_ID": "t"}


def read(**variables: str) -> InstanceSettings:
    return InstanceSettings.from_environment(EnvironmentReader({"DATA_DIR": "/nowhere", **REQUIRED, **variables}))


def test_defaults():
    assert read() == InstanceSettings("i", "t")


def test_all_variables(tmp_path: Path):
    authority = tmp_path / "ca.pem"
    authority.write_text("x")
    settings = read(
        RUNTARA_SERVER_ADDR="core:9",
        RUNTARA_SERVER_NAME="core",
        RUNTARA_SKIP_CERT_VERIFICATION="yes",
        RUNTARA_CA_FILE=str(authority),
        RUNTARA_LAUNCH_EPOCH="4",
        RUNTARA_CHECKPOINT_ID="c",
        RUNTARA_CONNECT_TIMEOUT_MS="1",
        RUNTARA_REQUEST_TIMEOUT_MS="2",
        RUNTARA_RECONNECT_DEADLINE_MS="3",
        RUNTARA_SIGNAL_POLL_INTERVAL_MS="4",
        RUNTARA_HEARTBEAT_INTERVAL_MS="0",
        RUNTARA_SLEEP_THRESHOLD="500ms",
    )
    assert settings == InstanceSettings("i", "t", "core:9", "core", True, authority, 4, "c", 1, 2, 3, 4, 0, 500)


@pytest.mark.parametrize(("text", "expected_ms"), [("2", 2000), ("0.5", 500), ("3s", 3000), ("0", 0)])
def test_sleep_threshold(text: str, expected_ms: int):
    assert read(RUNTARA_SLEEP_THRESHOLD=text).sleep_threshold_ms == expected_ms


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("RUNTARA_SLEEP_THRESHOLD", "soon"),
        ("RUNTARA_SLEEP_THRESHOLD", "-1"),
        ("RUNTARA_INSTANCE_ID", ""),
        ("RUNTARA_TENANT_ID", ""),
        ("RUNTARA_LAUNCH_EPOCH", "x"),
        ("RUNTARA_CA_FILE", "/nowhere/ca.pem"),
    ],
)
def test_unusable_value_is_named(name: str, value: str):
    with pytest.raises(ConfigurationError, match=name):
        read(**{name: value})


def test_authority_of_the_data_directory_is_found(tmp_path: Path):
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("x")
    assert read(DATA_DIR=str(tmp_path)).ca_file == tmp_path / "tls" / "ca.pem"


def test_url_means_embedded():
    assert read(RUNTARA_SERVER_ADDR="sqlite:///x.db").is_embedded
    assert not read().is_embedded


def test_localhost_verifies_when_it_can(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("RUNTARA_CA_FILE", raising=False)
    monkeypatch.setenv("DATA_DIR", str(tmp_path))
    assert InstanceSettings.localhost("i", "t").skip_cert_verification
    (tmp_path / "tls").mkdir()
    (tmp_path / "tls" / "ca.pem").write_text("x")
    assert not InstanceSettings.localhost("i", "t").skip_cert_verification
