"""Where settings come from: flag, environment, ``.env``, default; files for secrets; names nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from lfk.core.errors import UsageError
from lfk.environment import load
from lfk.settings import Settings

EnvFile = Callable[[str], Path]


@pytest.fixture
def env_file(tmp_path: Path) -> EnvFile:
    def write(text: str) -> Path:
        path = tmp_path / ".env"
        path.write_text(text, encoding="utf-8")
        return path

    return write


def test_nothing_set_is_all_defaults(tmp_path: Path) -> None:
    settings = load(environ={}, env_file=tmp_path / "absent")
    assert settings == Settings()
    assert set(settings.sources.values()) == {"default"}
    assert settings.warnings == ()


def test_flag_beats_environment_beats_file_beats_default(env_file: EnvFile) -> None:
    path = env_file("LFK_STORE=from-file\nLFK_GROUP=from-file\nLFK_MODEL=from-file\n")
    environ = {"LFK_STORE": "from-environment", "LFK_GROUP": "from-environment"}
    settings = load({"store": "from-flag", "model": None}, environ=environ, env_file=path)
    assert (settings.store, settings.group, settings.model) == ("from-flag", "from-environment", "from-file")
    assert settings.approach == ""
    assert [settings.sources[name] for name in ("LFK_STORE", "LFK_GROUP", "LFK_MODEL", "LFK_APPROACH")] == [
        "flag",
        "environment",
        ".env",
        "default",
    ]


def test_a_flag_may_say_no(env_file: EnvFile) -> None:
    assert load({"workers": 0}, environ={"LFK_WORKERS": "3"}, env_file=None).workers == 0


@pytest.mark.parametrize("name", ["LFK_STORE", "LFK_WORKERS", "TIMESTAMPS", "LFK_FORMATS", "BOOTSTRAP_SERVERS"])
def test_an_empty_value_is_unset(name: str, env_file: EnvFile) -> None:
    assert load(environ={name: ""}, env_file=env_file(f"{name}=\n")) == Settings()


def test_an_empty_value_lets_the_file_speak(env_file: EnvFile) -> None:
    assert load(environ={"LFK_STORE": ""}, env_file=env_file("LFK_STORE=from-file\n")).store == "from-file"


def test_a_file_is_taken_literally(env_file: EnvFile) -> None:
    path = env_file("# a comment\nexport LFK_STORE='s3://a b/${HOME}#x'\nLFK_GROUP = plain # a comment\n\nnonsense\n")
    settings = load(environ={"HOME": "/root"}, env_file=path)
    assert settings.store == "s3://a b/${HOME}#x"
    assert settings.group == "plain"


def test_older_names_are_known_and_come_second() -> None:
    older = {"AWS_ENDPOINT_URL": "http://older", "AWS_DEFAULT_REGION": "older"}
    settings = load(environ={**older, "AWS_REGION": "newer"}, env_file=None)
    assert (settings.endpoint_url, settings.region) == ("http://older", "newer")


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("hush\n")
    settings = load(environ={"API_SECRET_FILE": str(secret), "API_KEY_FILE": str(secret)}, env_file=None)
    assert settings.api_secret == "hush"
    # Only secrets do.
    assert settings.api_key == ""
    assert load(environ={"API_SECRET": "direct", "API_SECRET_FILE": str(secret)}, env_file=None).api_secret == "direct"


def test_a_secret_file_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path):
        with pytest.raises(UsageError, match="HF_TOKEN_FILE"):
            load(environ={"HF_TOKEN_FILE": str(path)}, env_file=None)


def test_only_the_line_break_at_its_end_is_no_part_of_a_secret(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b" with blanks \t\r\n")
    assert load(environ={"API_SECRET_FILE": str(secret)}, env_file=None).api_secret == " with blanks \t"


def test_a_secret_file_that_never_ends_or_is_empty_is_refused_and_not_shown(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    large = tmp_path / "large"
    large.write_text("hush" * 20_000)
    for path in (Path("/dev/zero"), large, empty):
        with pytest.raises(UsageError, match="API_SECRET_FILE") as caught:
            load(environ={"API_SECRET_FILE": str(path)}, env_file=None)
        assert "hush" not in str(caught.value)


def test_a_value_of_no_use_names_its_setting() -> None:
    with pytest.raises(UsageError, match="LFK_WORKERS: 'many' cannot be used") as caught:
        load(environ={"LFK_WORKERS": "many"}, env_file=None)
    assert "engines at a time" in caught.value.hint


def test_names_nobody_knows_are_pointed_out_with_the_nearest(env_file: EnvFile) -> None:
    settings = load(environ={"LFK_TRANSFRS": "3", "UNRELATED": "x"}, env_file=env_file("LFK_ZZZ=1\n"))
    assert settings.warnings == (
        "LFK_TRANSFRS is not a setting of lfk; did you mean LFK_TRANSFERS?",
        "LFK_ZZZ is not a setting of lfk",
    )


@pytest.mark.parametrize(
    "name", ["LFK_KAFKA_SESSION_TIMEOUT_MS", "LFK_TEST_KAFKA", "LFK_REQUIRE_SERVICES", "LFK_STORE"]
)
def test_names_that_are_known(name: str) -> None:
    assert load(environ={name: "1"}, env_file=None).warnings == ()


def test_kafka_settings_pass_through(env_file: EnvFile) -> None:
    path = env_file("LFK_KAFKA_SESSION_TIMEOUT_MS=1\nLFK_KAFKA_SSL_CA_LOCATION=/ca\n")
    settings = load(environ={"LFK_KAFKA_SESSION_TIMEOUT_MS": "6000", "LFK_KAFKA_DEBUG": ""}, env_file=path)
    assert settings.kafka == {"session.timeout.ms": "6000", "ssl.ca.location": "/ca"}


@pytest.mark.parametrize("content", [b"\xff\xfeLFK_WORKERS=1\n", b"LFK_MODEL=t\xfcny\n"])
def test_a_file_that_is_no_utf8_is_told(tmp_path: Path, content: bytes) -> None:
    (tmp_path / ".env").write_bytes(content)
    with pytest.raises(UsageError, match=r"\.env: cannot be read") as caught:
        load(environ={}, env_file=tmp_path / ".env")
    assert "UTF-8" in caught.value.hint
