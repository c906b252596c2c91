"""Settings come from the environment, are checked, and are documented where they are defined."""

import os
from pathlib import Path

import pytest

from server.settings import PREFIX, SettingsError, documented_settings, load_settings


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith(PREFIX) or name == "DATABASE_URL":
            monkeypatch.delenv(name)


BAD_PORT = "its port should be a whole number from 1 to 65535"
NO_PROXY = "is no address or network, such as 10.0.0.1 or 10.0.0.0/8; commas separate several"
AT_SIGN = "a @ in its user name or password is to be written as %40"


def complaint() -> str:
    with pytest.raises(SettingsError) as caught:
        load_settings()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_without_any_variable_the_defaults_hold() -> None:
    settings = load_settings()
    assert settings.database_url is None
    assert settings.data_dir == Path(".tollpath")
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.password_length_min == 4
    rules = settings.rules()
    assert rules.currency == "EUR"
    assert rules.call_duration_max_s == 14_400
    assert (rules.hold_slice_s, rules.hold_ttl_s) == (60, 120)
    assert rules.session_ttl_s == 2_592_000
    assert rules.query_cost_max == 25_000


def test_variables_are_read_and_the_command_line_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLPATH_PORT", "9001")
    monkeypatch.setenv("TOLLPATH_HOST", "0.0.0.0")
    monkeypatch.setenv("DATABASE_URL", "postgresql://toll:secret@db.example/toll")
    settings = load_settings(port=9002, host=None)
    assert (settings.host, settings.port) == ("0.0.0.0", 9002)
    assert settings.database_url == "postgresql://toll:secret@db.example/toll"


def test_a_hold_lives_twice_its_slice_unless_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLPATH_HOLD_SLICE_S", "90")
    assert load_settings().rules().hold_ttl_s == 180
    monkeypatch.setenv("TOLLPATH_HOLD_TTL_S", "100")
    assert load_settings().rules().hold_ttl_s == 100


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLPATH_PORT", "")
    assert load_settings().port == 8000


def test_an_empty_database_url_is_refused_as_another_database_would_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_URL", "")
    assert complaint() == (
        "DATABASE_URL is set but empty: give a URL such as postgresql://user:password@host:5432/name, "
        "or unset it to use the embedded PostgreSQL"
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("TOLLPATH_PRT", "1", "there is no setting TOLLPATH_PRT: did you mean TOLLPATH_PORT?"),
        *(
            (name, "x", f"there is no setting {name}: did you mean DATABASE_URL?")
            for name in ("TOLLPATH_DATABSE_URL", "TOLLPATH_DATABASE_URL")
        ),
        ("TOLLPATH_XYZZY", "1", "there is no setting TOLLPATH_XYZZY; `tollpath settings` lists them"),
        (
            "TOLLPATH_PORT",
            "abc",
            "TOLLPATH_PORT=abc is not valid: it should be a valid integer, unable to parse string as an integer",
        ),
        ("TOLLPATH_PORT", "65536", "TOLLPATH_PORT=65536 is not valid: it should be less than or equal to 65535"),
        (
            "TOLLPATH_CURRENCY",
            "euro",
            "TOLLPATH_CURRENCY=euro is not valid: it should be three capital letters, such as EUR",
        ),
        *(
            ("TOLLPATH_TRUSTED_PROXIES", given, f"TOLLPATH_TRUSTED_PROXIES={given} is not valid: {part!r} {NO_PROXY}")
            for given, part in (
                *(("foo", "foo"), ("*", "*"), ("127.0.0.1,", ""), ("10.0.0.1/8", "10.0.0.1/8")),
                ("127.0.0.1 10.0.0.1", "127.0.0.1 10.0.0.1"),
            )
        ),
        (
            "TOLLPATH_LOG_LEVEL",
            "loud",
            "TOLLPATH_LOG_LEVEL=loud is not valid: it should be 'debug', 'info', 'warning' or 'error'",
        ),
        ("DATABASE_URL", "mysql://a:pw@b/c", "DATABASE_URL is not valid: it must start with postgresql://"),
        ("DATABASE_URL", "postgresql://h", "DATABASE_URL is not valid: it names no database: end it with /name"),
        ("DATABASE_URL", "postgresql://u:pw@h:54x/d", f"DATABASE_URL is not valid: {BAD_PORT}"),
        ("DATABASE_URL", "postgresql://u:pw@h:/d", f"DATABASE_URL is not valid: {BAD_PORT}"),
        ("DATABASE_URL", "postgresql://u:pw@h:0/d", f"DATABASE_URL is not valid: {BAD_PORT}"),
        ("DATABASE_URL", "postgresql://u:pw@h:65536/d", f"DATABASE_URL is not valid: {BAD_PORT}"),
        ("DATABASE_URL", "postgresql:///d?host=/tmp&port=abc", f"DATABASE_URL is not valid: {BAD_PORT}"),
        ("DATABASE_URL", "postgresql://u:p@ss:word@h/d", f"DATABASE_URL is not valid: {AT_SIGN}"),
        ("DATABASE_URL", "postgresql://u:p@ss@h:5432/d", f"DATABASE_URL is not valid: {AT_SIGN}"),
        (
            "DATABASE_URL",
            "nonsense",
            "DATABASE_URL is not valid: give a URL such as postgresql://user:password@host:5432/name",
        ),
    ],
)
def test_a_wrong_variable_is_named_in_one_line(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str, expected: str
) -> None:
    monkeypatch.setenv(variable, value)
    assert complaint() == expected


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://u:p%40ss%3Aword@h:65535/d",
        "postgres://u:p:w#/?w@[::1]/d",
        "postgresql:///d?host=/run/postgresql&port=5433&sslmode=disable",
    ],
)
def test_a_url_that_names_a_database_is_taken_as_it_is(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("DATABASE_URL", url)
    assert load_settings().database_url == url


@pytest.mark.parametrize("proxies", ["10.0.0.1", "127.0.0.1, ::1,10.0.0.0/8 , fd00::/8", "0.0.0.0/0"])
def test_addresses_and_networks_of_proxies_are_taken_as_they_are(monkeypatch: pytest.MonkeyPatch, proxies: str) -> None:
    monkeypatch.setenv("TOLLPATH_TRUSTED_PROXIES", proxies)
    assert load_settings().trusted_proxies == proxies


def test_every_wrong_variable_is_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOLLPATH_PORT", "-1")
    monkeypatch.setenv("TOLLPATH_HOLD_SLICE_S", "0")
    text = complaint()
    assert "TOLLPATH_PORT=-1" in text
    assert "TOLLPATH_HOLD_SLICE_S=0" in text


def test_a_wrong_value_from_the_command_line_names_the_option() -> None:
    with pytest.raises(SettingsError, match=r"^--port=70000 is not valid"):
        load_settings(port=70_000)


def test_a_password_shows_neither_in_messages_nor_in_the_text_of_the_settings(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TOLLPATH_OPERATOR_PASSWORD", "sesame")
    assert "sesame" not in repr(load_settings())
    monkeypatch.setenv("DATABASE_URL", "mysql://root:sesame@h/d")
    assert "sesame" not in complaint()


def test_every_setting_has_a_description() -> None:
    for setting in documented_settings():
        assert setting.description.endswith("."), setting.variable
        assert setting.variable == "DATABASE_URL" or setting.variable.startswith(PREFIX)
