"""What the operator sets: environment variables, and the same names in a file `.env`.

Nothing is read at import: `load_settings` reads once, app.py hands the values on.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from dotenv import dotenv_values
from pydantic import AfterValidator, Field, FiniteFloat, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from bot.errors import BadSettings
from model.dialogue import Sampling
from model.manifest import current

PREFIX = "MALBEOT_"
# The model that comes with the program.
SHIPPED = Path(__file__).parent.parent / "model" / "default"
_SAMPLING = Sampling()
_SAMPLING_FIELDS = tuple(Sampling.__dataclass_fields__)

UserPath = Annotated[Path, AfterValidator(Path.expanduser)]


class Settings(BaseSettings):
    """All settings. A field's description is what its error says: how the value should look, in Korean.

    An empty value counts as unset; relative paths start at the working directory.
    """

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        populate_by_name=True,
        validate_default=True,
    )

    telegram_token: SecretStr | None = Field(
        default=None, validation_alias="TELEGRAM_TOKEN", description="BotFather가 준 텔레그램 토큰을 적어 주세요."
    )
    discord_token: SecretStr | None = Field(
        default=None,
        validation_alias="DISCORD_TOKEN",
        description="디스코드 개발자 페이지에서 받은 봇 토큰을 적어 주세요.",
    )
    telegram_api_url: str | None = Field(
        default=None, validation_alias="TELEGRAM_API_URL", description="Bot API 서버의 주소를 적어 주세요."
    )
    discord_api_url: str | None = Field(
        default=None, validation_alias="DISCORD_API_URL", description="디스코드 API의 주소를 적어 주세요."
    )
    discord_gateway_url: str | None = Field(
        default=None, validation_alias="DISCORD_GATEWAY_URL", description="디스코드 게이트웨이의 주소를 적어 주세요."
    )
    telegram_webhook_url: str | None = Field(
        default=None,
        validation_alias="TELEGRAM_WEBHOOK_URL",
        pattern=r"^https://\S+$",
        description="https://로 시작하는, 밖에서 열리는 주소를 적어 주세요. 비워 두면 웹훅을 쓰지 않아요.",
    )
    telegram_webhook_port: int = Field(
        default=8443,
        validation_alias="TELEGRAM_WEBHOOK_PORT",
        ge=1,
        le=65535,
        description="1부터 65535까지의 정수로 적어 주세요.",
    )
    discord_sharded: bool = Field(
        default=False, validation_alias="DISCORD_SHARDED", description="true나 false로 적어 주세요."
    )
    health_host: str = Field(default="127.0.0.1", description="이 컴퓨터의 주소를 적어 주세요.")
    health_port: int = Field(
        default=8787, ge=0, le=65535, description="0부터 65535까지의 정수로 적어 주세요. 0이면 열지 않아요."
    )
    flood_burst: int = Field(default=10, ge=1, description="1 이상의 정수로 적어 주세요.")
    flood_per_minute: FiniteFloat = Field(default=20.0, gt=0, description="0보다 큰 숫자로 적어 주세요.")
    suggestions: bool = Field(default=False, description="true나 false로 적어 주세요.")
    key: SecretStr | None = Field(default=None, description="32바이트를 base64로 적어 주세요.")
    key_file: UserPath = Field(default=Path("~/.config/malbeot/key"), description="열쇠 파일의 경로를 적어 주세요.")
    database: UserPath = Field(default=Path("data/malbeot.db"), description="데이터베이스 파일의 경로를 적어 주세요.")
    model: UserPath | None = Field(default=None, description="모델 폴더의 경로를 적어 주세요.")
    models: UserPath = Field(default=Path("models"), description="모델들을 모아 둔 폴더의 경로를 적어 주세요.")
    exports: UserPath = Field(default=Path("data/exports"), description="내보낸 대화를 모을 폴더의 경로를 적어 주세요.")
    privacy_file: UserPath | None = Field(default=None, description="UTF-8로 적은 글의 경로를 적어 주세요.")
    jobs: bool = Field(default=True, description="true나 false로 적어 주세요.")
    retrain: bool = Field(default=True, description="true나 false로 적어 주세요.")
    retrain_after: int = Field(default=200, ge=1, description="1 이상의 정수로 적어 주세요.")
    candidate_share: FiniteFloat = Field(default=0.0, ge=0, le=1, description="0부터 1까지의 숫자로 적어 주세요.")
    format: str | None = Field(default=None, description="대화 형식의 이름을 적어 주세요.")
    threads: int | None = Field(default=None, ge=1, description="1 이상의 정수로 적어 주세요.")
    backend: Literal["auto", "torch", "openvino"] = Field(
        default="auto", description="auto, torch, openvino 가운데 하나로 적어 주세요."
    )
    precision: Literal["auto", "int8", "bf16", "fp32"] = Field(
        default="auto", description="auto, int8, bf16, fp32 가운데 하나로 적어 주세요."
    )
    device: Literal["cpu", "cuda"] = Field(default="cpu", description="cpu나 cuda로 적어 주세요.")
    cache_mb: int | None = Field(default=None, ge=1, description="1 이상의 정수로 적거나 비워 두세요.")
    batch: int = Field(default=16, ge=1, description="1 이상의 정수로 적어 주세요.")
    temperature: FiniteFloat = Field(default=_SAMPLING.temperature, description="0 이상의 숫자로 적어 주세요.")
    top_k: int = Field(default=_SAMPLING.top_k, description="0 이상의 정수로 적어 주세요.")
    top_p: FiniteFloat = Field(default=_SAMPLING.top_p, description="0보다 크고 1 이하인 숫자로 적어 주세요.")
    repetition_penalty: FiniteFloat = Field(
        default=_SAMPLING.repetition_penalty, description="0보다 큰 숫자로 적어 주세요. 1이면 벌점이 없어요."
    )
    max_new_tokens: int = Field(default=_SAMPLING.max_new_tokens, description="1 이상의 정수로 적어 주세요.")
    candidates: int = Field(default=_SAMPLING.candidates, description="1부터 16까지의 정수로 적어 주세요.")
    seed: int | None = Field(default=_SAMPLING.seed, description="정수로 적거나 비워 두세요.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(
        default="INFO", description="DEBUG, INFO, WARNING, ERROR 가운데 하나로 적어 주세요."
    )
    log_json: bool | None = Field(
        default=None, description="true나 false로 적거나 비워 두세요. 비워 두면 터미널이 아닐 때 JSON으로 적어요."
    )

    @field_validator(*_SAMPLING_FIELDS)
    @classmethod
    def _fits_sampling(cls, value: Any, info: ValidationInfo) -> Any:
        # The ranges are Sampling's own; it raises the ValueError that fails this field.
        Sampling(**{str(info.field_name): value})
        return value

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, value: Any) -> Any:
        return value.upper() if isinstance(value, str) else value

    def sampling(self) -> Sampling:
        """How tokens are chosen."""
        return Sampling(**{name: getattr(self, name) for name in _SAMPLING_FIELDS})

    def privacy_text(self) -> str | None:
        """What the operator wants /privacy to say, None for our own text. Raises BadSettings when it cannot be read."""
        if self.privacy_file is None:
            return None
        try:
            text = self.privacy_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise BadSettings(
                f"{self.privacy_file} 파일을 읽을 수 없어요. 경로와 권한, UTF-8인지 확인해 주세요."
            ) from error
        if not text:
            raise BadSettings(f"{self.privacy_file} 파일이 비어 있어요. 보관하는 것을 적어 주세요.")
        return text

    def secrets(self) -> list[str]:
        """What must never be seen in a log."""
        given = (self.telegram_token, self.discord_token, self.key)
        return [secret.get_secret_value() for secret in given if secret is not None]

    def model_folder(self) -> Path:
        """The checkpoint to serve: the one asked for, else the promoted one, else the one that ships.

        Raises model.errors.BadCheckpoint when the pointer of the models folder leads nowhere.
        """
        return self.model or current(self.models) or SHIPPED


def setting_names() -> dict[str, str]:
    """Every setting as it is written in the environment, with its field of Settings."""
    return {str(field.validation_alias or PREFIX + name.upper()): name for name, field in Settings.model_fields.items()}


def load_settings(env_file: Path = Path(".env")) -> Settings:
    """Read the environment and `env_file`, which need not exist; the environment wins.

    Raises BadSettings, naming the setting and never its value.
    """
    try:
        _refuse_unknown(env_file)
        return Settings(_env_file=env_file)  # type: ignore[call-arg]  # a keyword mypy does not see without a plugin
    except ValidationError as error:
        place = str(error.errors()[0]["loc"][0])
        name = next(name for name, field in setting_names().items() if place.lower() in (field, name.lower()))
        hint = Settings.model_fields[setting_names()[name]].description
        raise BadSettings(f"{name} 설정이 올바르지 않아요. {hint}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise BadSettings(
            f"{env_file} 파일을 읽을 수 없어요. UTF-8로 저장되어 있는지, 읽을 권한이 있는지 확인해 주세요."
        ) from error


def _refuse_unknown(env_file: Path) -> None:
    # A misspelt name would be ignored in silence. Only our prefix: a .env is often shared with other programs.
    known = setting_names()
    for name in dotenv_values(env_file, interpolate=False, encoding="utf-8") if env_file.is_file() else ():
        if name.upper().startswith(PREFIX) and name.upper() not in known:
            raise BadSettings(
                f"{env_file}에 적힌 {name}은(는) 모르는 설정이에요. .env.example에서 이름을 확인해 주세요."
            )
