"""The text of an exported file, where its bytes leave no doubt; a person's file is refused rather than guessed at."""

from __future__ import annotations

import codecs
import re
from pathlib import Path

from training.errors import BadData

_HANGUL = re.compile("[가-힣]")
_SAVE_AS = "open it in an editor and save it as UTF-8, or export the chat again"


def read_exact(path: Path) -> tuple[str, str | None]:
    """Text of a file with every line end a newline, and the encoding where it is not UTF-8.

    UTF-8 with or without BOM, UTF-16 with BOM, else cp949. Raises BadData when the file is missing, empty, cut in the
    middle of a character, binary, or in none of these encodings throughout.
    """
    text, encoding = _decode(_bytes(path), path)
    if not text.strip():
        raise BadData(f"{path}: the file is empty; export the chat again.")
    return text.replace("\r\n", "\n").replace("\r", "\n"), encoding


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise BadData(f"{path}: there is no such file; check the path.") from error
    except IsADirectoryError as error:
        raise BadData(f"{path}: this is a folder; name the file in it that the messenger has written.") from error
    except OSError as error:
        raise BadData(f"{path}: the file cannot be read ({error.strerror}); check its permissions.") from error


def _decode(data: bytes, path: Path) -> tuple[str, str | None]:
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return _strictly(data, "utf-16", path), "UTF-16"
    if b"\0" in data:
        raise BadData(f"{path}: this is not a text file, or one in UTF-16 without its mark; {_SAVE_AS}.")
    try:
        return data.decode("utf-8-sig"), None
    except UnicodeDecodeError as error:
        if error.reason == "unexpected end of data":
            raise _cut(path) from error
    repaired = data.decode("utf-8", errors="replace")
    # A damaged UTF-8 file still reads as Korean; one in cp949 does not.
    if len(_HANGUL.findall(repaired)) > repaired.count("\ufffd"):
        raise BadData(f"{path}: some bytes are no UTF-8: the file is damaged; export the chat again.")
    return _strictly(data, "cp949", path), "cp949"


def _strictly(data: bytes, encoding: str, path: Path) -> str:
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        if error.end >= len(data):
            raise _cut(path) from error
        raise BadData(f"{path}: the text is neither UTF-8 nor {encoding}; {_SAVE_AS}.") from error


def _cut(path: Path) -> BadData:
    return BadData(f"{path}: the file ends in the middle of a character: it is cut; export the chat again.")
