"""Encryption of single text fields, and the key it needs, which is kept apart from the database."""

from __future__ import annotations

import base64
import hmac
import json
import os
import tempfile
from dataclasses import dataclass, field
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from pydantic import SecretStr

from bot.errors import BadSettings, WrongKey
from model.files import sync

KEY_BYTES = 32
_VERSION = b"\x01"
_NONCE_BYTES = 12


class Cipher:
    """AES-256-GCM (NIST SP 800-38D) over UTF-8: a version byte, a random 12-byte nonce, the ciphertext with its tag.

    Random nonces are safe up to about 2^32 fields under one key (SP 800-38D, 8.3).
    """

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ValueError(f"the key must have {KEY_BYTES} bytes")
        self._aes = AESGCM(key)
        self._pseudonyms = hmac.digest(key, b"malbeot pseudonyms", "sha256")

    def encrypt(self, text: str, where: str) -> bytes:
        """`text` for the column `where` ("turns.text"); it can be read back only as that column's."""
        nonce = os.urandom(_NONCE_BYTES)
        # Platforms deliver lone surrogates now and then; what came in must be stored, not crash.
        return _VERSION + nonce + self._aes.encrypt(nonce, text.encode("utf-8", "surrogatepass"), where.encode())

    def decrypt(self, blob: bytes, where: str) -> str:
        """The text of `encrypt`. Raises WrongKey for another key, another column or changed bytes."""
        body = len(_VERSION) + _NONCE_BYTES
        try:
            if not blob.startswith(_VERSION) or len(blob) < body:
                raise InvalidTag
            plain = self._aes.decrypt(blob[len(_VERSION) : body], blob[body:], where.encode())
        except InvalidTag as error:
            raise WrongKey(
                "저장된 대화를 이 열쇠로 풀 수 없어요. 처음에 쓰던 열쇠(MALBEOT_KEY 또는 열쇠 파일)인지 확인해 주세요."
            ) from error
        return plain.decode("utf-8", "surrogatepass")

    def pseudonym(self, *parts: str) -> str:
        """A name for what `parts` identify: HMAC-SHA-256 (RFC 2104), 32 hex digits. Only the key can make it."""
        message = json.dumps(parts).encode()
        return hmac.digest(self._pseudonyms, message, "sha256").hex()[:32]


@dataclass(frozen=True, slots=True)
class LoadedKey:
    """A key and where it is from: "MALBEOT_KEY" or the path of the key file. `created` says it was made just now."""

    key: bytes = field(repr=False)
    source: str
    created: bool


def load_key(key: SecretStr | None, key_file: Path, database: Path, *, create: bool = False) -> LoadedKey:
    """The key of the settings, else of the key file, else a new one in that file when `create` is set.

    Raises BadSettings when there is none, it is malformed, or the key file lies beside the database, where every
    copy of the folder would carry the key along with what it locks.
    """
    if key is not None:
        return LoadedKey(_decode(key.get_secret_value(), "MALBEOT_KEY"), "MALBEOT_KEY", created=False)
    if key_file.resolve().parent == database.resolve().parent:
        raise BadSettings(
            f"열쇠 파일({key_file})이 데이터베이스와 같은 폴더에 있어요. "
            "MALBEOT_KEY_FILE을 다른 폴더로 바꾸고 열쇠 파일도 그리로 옮겨 주세요."
        )
    try:
        if key_file.exists():
            return LoadedKey(_decode(key_file.read_text(encoding="utf-8"), str(key_file)), str(key_file), created=False)
        if not create:
            raise BadSettings(
                f"대화를 잠글 열쇠가 없어요. 쓰던 열쇠를 MALBEOT_KEY나 열쇠 파일({key_file})에 넣어 주세요."
            )
        created = _create(key_file)
        return LoadedKey(
            _decode(key_file.read_text(encoding="utf-8"), str(key_file)), source=str(key_file), created=created
        )
    except UnicodeDecodeError as error:
        raise _malformed(str(key_file)) from error
    except OSError as error:
        raise BadSettings(
            f"열쇠 파일({key_file})을 읽거나 쓸 수 없어요({error.strerror}). 경로와 권한을 확인해 주세요."
        ) from error


def _create(path: Path) -> bool:
    """Write a new key to `path`, whole or not at all; False when another process was first: its key stays."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    partial = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(base64.b64encode(os.urandom(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(file.fileno())
        # A link, not a rename: it fails where a rename would replace a key that is in use.
        path.hardlink_to(partial)
    except FileExistsError:
        return False
    finally:
        partial.unlink(missing_ok=True)
    sync(path.parent)
    return True


def _decode(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.strip(), validate=True)
    except ValueError:
        raise _malformed(source) from None
    if len(key) != KEY_BYTES:
        raise _malformed(source)
    return key


def _malformed(source: str) -> BadSettings:
    return BadSettings(
        f"{source}의 열쇠가 올바르지 않아요. 32바이트를 base64로 적은 한 줄이어야 해요(예: openssl rand -base64 32)."
    )
