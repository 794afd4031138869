import os
import re
import traceback
from dataclasses import asdict, fields
from pathlib import Path

import pytest
from pydantic import ValidationError

from bot.errors import BadSettings
from bot.settings import SHIPPED, Settings, load_settings, setting_names
from model.dialogue import Sampling
from model.errors import BadCheckpoint
from model.manifest import CURRENT

EXAMPLE = Path(__file__).parents[2] / ".env.example"


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No setting from the machine that runs the tests."""
    for name in [*os.environ]:
        if name.upper() in setting_names():
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)


def write_env(text: str) -> Path:
    path = Path(".env")
    path.write_text(text, encoding="utf-8")
    return path


def test_defaults() -> None:
    settings = load_settings()
    assert settings.telegram_token is None
    assert settings.discord_token is None
    assert settings.key is None
    assert settings.key_file == Path.home() / ".config/malbeot/key"
    assert settings.database == Path("data/malbeot.db")
    assert settings.models == Path("models")
    assert settings.threads is None
    assert settings.log_level == "INFO"
    assert settings.sampling() == Sampling()


def test_names_cover_the_sampling() -> None:
    assert {field.name for field in fields(Sampling)} <= set(setting_names().values())
    assert {"TELEGRAM_TOKEN", "DISCORD_TOKEN", "MALBEOT_TOP_K"} <= set(setting_names())


def test_environment_wins_over_the_file(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("MALBEOT_TOP_K=7\nMALBEOT_CANDIDATES=2\nTELEGRAM_TOKEN=from-file\nOTHER_PROGRAM=1\n")
    monkeypatch.setenv("MALBEOT_TOP_K", "9")
    settings = load_settings()
    assert settings.sampling() == Sampling(top_k=9, candidates=2)
    assert settings.telegram_token is not None
    assert settings.telegram_token.get_secret_value() == "from-file"


def test_another_file_can_be_named(tmp_path: Path) -> None:
    write_env("MALBEOT_SEED=1\n")
    (tmp_path / "other").write_text("MALBEOT_SEED=2\n", encoding="utf-8")
    assert load_settings(tmp_path / "other").seed == 2


def test_empty_means_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    write_env("".join(f"{name}=\n" for name in setting_names()))
    monkeypatch.setenv("DISCORD_TOKEN", "")
    assert load_settings() == load_settings(Path("no-such-file"))


def test_home_is_expanded() -> None:
    write_env("MALBEOT_DATABASE=~/chats.db\nMALBEOT_MODEL=~/m\n")
    settings = load_settings()
    assert settings.database == Path.home() / "chats.db"
    assert settings.model_folder() == Path.home() / "m"


def test_log_level_in_any_case() -> None:
    write_env("MALBEOT_LOG_LEVEL=debug\n")
    assert load_settings().log_level == "DEBUG"


def test_settings_are_frozen() -> None:
    settings = load_settings()
    with pytest.raises(ValidationError):
        settings.top_k = 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MALBEOT_THREADS", "0"),
        ("MALBEOT_THREADS", "둘"),
        ("MALBEOT_TEMPERATURE", "-1"),
        ("MALBEOT_TEMPERATURE", "inf"),
        ("MALBEOT_TEMPERATURE", "nan"),
        ("MALBEOT_TOP_K", "1.5"),
        ("MALBEOT_TOP_P", "0"),
        ("MALBEOT_TOP_P", "1.1"),
        ("MALBEOT_REPETITION_PENALTY", "0"),
        ("MALBEOT_MAX_NEW_TOKENS", "0"),
        ("MALBEOT_CANDIDATES", "17"),
        ("MALBEOT_SEED", "x"),
        ("MALBEOT_LOG_LEVEL", "loud"),
    ],
)
def test_bad_value_names_the_setting(name: str, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(BadSettings, match=name) as raised:
        load_settings()
    assert Settings.model_fields[setting_names()[name]].description in str(raised.value)  # type: ignore[operator]


def test_every_setting_says_how_it_should_look() -> None:
    for field in Settings.model_fields.values():
        assert field.description
        assert re.search("[가-힣]", field.description)


@pytest.mark.parametrize("name", ["MALBEOT_TEMPRATURE", "malbeot_tokens", "MALBEOT_TELEGRAM_TOKEN"])
def test_unknown_name_in_the_file(name: str) -> None:
    write_env(f"{name}=hush\n")
    with pytest.raises(BadSettings, match=name) as raised:
        load_settings()
    assert "hush" not in "".join(traceback.format_exception(raised.value))


def test_names_may_be_in_lower_case() -> None:
    write_env("malbeot_top_k=3\n")
    assert load_settings().top_k == 3


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TELEGRAM_TOKEN", "DISCORD_TOKEN", "MALBEOT_KEY"):
        monkeypatch.setenv(name, "hush")
    assert "hush" not in repr(load_settings())
    monkeypatch.setenv("MALBEOT_THREADS", "hush")
    with pytest.raises(BadSettings) as raised:
        load_settings()
    assert "hush" not in "".join(traceback.format_exception(raised.value))


def test_file_that_is_not_utf8() -> None:
    Path(".env").write_bytes("MALBEOT_FORMAT=한글".encode("cp949"))
    with pytest.raises(BadSettings, match="UTF-8"):
        load_settings()


def test_model_folder(tmp_path: Path) -> None:
    settings = load_settings()
    assert settings.model_folder() == SHIPPED
    assert (SHIPPED.parent / "manifest.py").is_file()
    (tmp_path / "models/v2").mkdir(parents=True)
    (tmp_path / "models" / CURRENT).write_text("v2\n", encoding="utf-8")
    assert settings.model_folder() == Path("models/v2")
    assert Settings(model=Path("mine")).model_folder() == Path("mine")
    (tmp_path / "models" / CURRENT).write_text("v3\n", encoding="utf-8")
    with pytest.raises(BadCheckpoint):
        settings.model_folder()


def test_example_explains_every_setting_with_its_default() -> None:
    """Uncommented, the example is a file that changes nothing."""
    text = EXAMPLE.read_text(encoding="utf-8")
    paragraphs = re.split(r"\n\s*\n", text)
    explained = {
        match[1]: paragraph
        for paragraph in paragraphs
        for match in [re.search(r"^(?:# )?([A-Z_]+)=", paragraph, re.MULTILINE)]
        if match
    }
    assert set(explained) == set(setting_names())
    for paragraph in explained.values():
        assert re.search(r"^# .*[가-힣].*[.?!)]$", paragraph, re.MULTILINE)
    write_env(re.sub(r"^# ([A-Z_]+=)", r"\1", text, flags=re.MULTILINE))
    assert load_settings() == load_settings(Path("no-such-file"))
    assert asdict(load_settings().sampling()) == asdict(Sampling())
