import base64
import os
import stat
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from bot.errors import BadSettings, WrongKey
from bot.store.cipher import KEY_BYTES, Cipher, load_key

KEY = bytes(range(KEY_BYTES))
ENCODED = base64.b64encode(KEY).decode()


@given(st.text(st.characters(categories=None)), st.text())
def test_round_trip(text: str, where: str) -> None:
    """Any text, lone surrogates included."""
    cipher = Cipher(KEY)
    assert cipher.decrypt(cipher.encrypt(text, where), where) == text


def test_layout() -> None:
    """Version 1, a nonce of 12 bytes, the text's bytes, a tag of 16; never twice the same."""
    first, second = (Cipher(KEY).encrypt("안녕", "turns.text") for _ in range(2))
    assert len(first) == 1 + 12 + len("안녕".encode()) + 16
    assert first[0] == 1
    assert first[1:13] != second[1:13]
    assert first[13:] != second[13:]


@given(st.data())
def test_any_changed_byte_is_noticed(data: st.DataObject) -> None:
    blob = bytearray(Cipher(KEY).encrypt("비밀이에요", "turns.text"))
    place = data.draw(st.integers(0, len(blob) - 1))
    blob[place] ^= data.draw(st.integers(1, 255))
    with pytest.raises(WrongKey):
        Cipher(KEY).decrypt(bytes(blob), "turns.text")


@given(st.integers(0, 13 + 15 + 15))
def test_cut_short(length: int) -> None:
    blob = Cipher(KEY).encrypt("비밀이에요", "turns.text")
    with pytest.raises(WrongKey):
        Cipher(KEY).decrypt(blob[:length], "turns.text")


def test_another_column_or_key() -> None:
    blob = Cipher(KEY).encrypt("비밀", "turns.text")
    with pytest.raises(WrongKey):
        Cipher(KEY).decrypt(blob, "conversations.persona")
    with pytest.raises(WrongKey, match="MALBEOT_KEY"):
        Cipher(bytes(KEY_BYTES)).decrypt(blob, "turns.text")


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_key_of_another_length(length: int) -> None:
    with pytest.raises(ValueError, match="32"):
        Cipher(bytes(length))


def test_key_of_the_settings_comes_first(tmp_path: Path) -> None:
    loaded = load_key(SecretStr(f" {ENCODED}\n"), tmp_path / "key", tmp_path / "malbeot.db", create=True)
    assert (loaded.key, loaded.source, loaded.created) == (KEY, "MALBEOT_KEY", False)
    assert list(tmp_path.iterdir()) == []
    assert repr(KEY) not in repr(loaded)


def test_key_is_created_once(tmp_path: Path) -> None:
    file, database = tmp_path / "config/malbeot/key", tmp_path / "data/malbeot.db"
    made = load_key(None, file, database, create=True)
    assert made.created
    assert made.source == str(file)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert [path.name for path in file.parent.iterdir()] == ["key"]
    again = load_key(None, file, database, create=True)
    assert (again.key, again.created) == (made.key, False)


def test_a_key_that_appears_meanwhile_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes start for the first time at once: both must end up with the same key."""
    file = tmp_path / "config/key"

    def other_process_first(size: int) -> bytes:
        file.write_text(ENCODED + "\n", encoding="ascii")
        return bytes(size)

    monkeypatch.setattr(os, "urandom", other_process_first)
    loaded = load_key(None, file, tmp_path / "malbeot.db", create=True)
    assert (loaded.key, loaded.created) == (KEY, False)
    assert [path.name for path in file.parent.iterdir()] == ["key"]


def test_no_key_and_none_to_be_made(tmp_path: Path) -> None:
    with pytest.raises(BadSettings, match="열쇠가 없어요"):
        load_key(None, tmp_path / "config/key", tmp_path / "malbeot.db")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("database", ["malbeot.db", "sub/../malbeot.db", "link/malbeot.db"])
def test_key_beside_the_database(tmp_path: Path, database: str) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path, target_is_directory=True)
    with pytest.raises(BadSettings, match="같은 폴더"):
        load_key(None, tmp_path / "key", tmp_path / database, create=True)
    assert not (tmp_path / "key").exists()


MALFORMED = ["", "짧아요", "AAAA", ENCODED[:-4], ENCODED + "AAAA", base64.b64encode(bytes(33)).decode()]


@pytest.mark.parametrize("text", MALFORMED)
def test_malformed_key(tmp_path: Path, text: str) -> None:
    file = tmp_path / "config/key"
    file.parent.mkdir()
    file.write_text(text, encoding="utf-8")
    for key, source in ((SecretStr(text), "MALBEOT_KEY"), (None, str(file))):
        with pytest.raises(BadSettings, match="올바르지 않아요") as raised:
            load_key(key, file, tmp_path / "malbeot.db", create=True)
        assert str(raised.value).startswith(source)
        assert not text or text not in str(raised.value).removeprefix(source)
    assert file.read_text(encoding="utf-8") == text


def test_key_file_that_cannot_be_read(tmp_path: Path) -> None:
    folder, binary = tmp_path / "folder", tmp_path / "config/binary"
    folder.mkdir()
    binary.parent.mkdir()
    binary.write_bytes(b"\xff" * 32)
    for file, words in ((folder, "경로와 권한"), (binary, "올바르지 않아요"), (binary / "key", "경로와 권한")):
        with pytest.raises(BadSettings, match=words):
            load_key(None, file, tmp_path / "data/malbeot.db", create=True)
