"""Settings: what a variable does, and how a wrong one is told."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from guardian_core.domain.errors import ConfigurationError
from guardian_core.logs import LogFormat
from guardian_core.settings import Settings, load_settings


@pytest.fixture(autouse=True)
def _bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"GUARDIAN_{name.upper()}", raising=False)


def test_the_database_lies_in_the_home_folder_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDIAN_HOME", "/srv/guardian")
    settings = load_settings()
    assert settings.home == Path("/srv/guardian")
    assert settings.database_url == "sqlite:////srv/guardian/guardian.db"


def test_a_home_below_a_tilde_is_made_absolute() -> None:
    assert load_settings().home == Path.home() / ".guardian"


def test_the_command_line_wins_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARDIAN_RECEIVER_PORT", "1234")
    monkeypatch.setenv("GUARDIAN_LOG_FORMAT", "json")
    settings = load_settings(receiver_port=9999)
    assert settings.receiver_port == 9999
    assert settings.log_format is LogFormat.JSON


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("GUARDIAN_RECEIVER_PORT", "eighty", "GUARDIAN_RECEIVER_PORT: "),
        ("GUARDIAN_RECEIVER_PORT", "tcp://10.0.0.1:8888", "enableServiceLinks: false"),
        ("GUARDIAN_INSTALLATION", "Prod-1", "6 lower-case letters or digits"),
        ("GUARDIAN_DATABASE_ULR", "sqlite://", "did you mean GUARDIAN_DATABASE_URL?"),
    ],
)
def test_a_wrong_variable_is_named_with_its_fix(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=said):
        load_settings()


def test_variables_that_kubernetes_makes_for_services_are_no_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GUARDIAN_ENGINE_SERVICE_HOST", "10.0.0.1")
    monkeypatch.setenv("GUARDIAN_ENGINE_PORT_8890_TCP_ADDR", "10.0.0.1")
    load_settings()


def test_secrets_are_not_shown() -> None:
    settings = load_settings(
        database_url="postgresql://u:hunter2@h/d",
        redis_url="redis://:hunter2@h",
        gateway_token="hunter2",
    )
    assert "hunter2" not in repr(settings)
    assert "hunter2" not in str(settings)


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError, match="frozen"):
        settings.receiver_port = 1  # type: ignore[misc]


def test_every_setting_is_described() -> None:
    assert all(field.description for field in Settings.model_fields.values())
