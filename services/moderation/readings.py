"""Other ways to read a text: encodings, ciphers and reversed writing that programs undo as easily as they make them."""

from __future__ import annotations

import base64
import binascii
import codecs
import html
import re
import string
from collections.abc import Callable, Iterator
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

# Text within text within text is a game; the work must stay bounded.
MOST_CHARACTERS = 20_000
MOST_ENCODINGS = 2
_FIRST_TAG, _LAST_TAG = 0xE0020, 0xE007E
_UPSIDE = dict(zip("ɐqɔpǝɟƃɥᴉɾʞl\u026fuodbɹsʇnʌʍxʎz", string.ascii_lowercase, strict=True))
_BRAILLE = dict(zip("⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", string.ascii_lowercase, strict=True))
_MORSE_SIGNS = (
    *(
        ".-",
        "-...",
        "-.-.",
        "-..",
        ".",
        "..-.",
        "--.",
        "....",
        "..",
        ".---",
        "-.-",
        ".-..",
        "--",
        "-.",
        "---",
    ),
    *(".--.", "--.-", ".-.", "...", "-", "..-", "...-", ".--", "-..-", "-.--", "--.."),
    *("-----", ".----", "..---", "...--", "....-", ".....", "-....", "--...", "---..", "----."),
)
_MORSE = dict(zip(_MORSE_SIGNS, string.ascii_lowercase + string.digits, strict=True))
_DOTS = str.maketrans({**dict.fromkeys("·•∙", "."), **dict.fromkeys("–—\u2212_", "-")})
_NATO_WORDS = (
    *(
        "alfa",
        "bravo",
        "charlie",
        "delta",
        "echo",
        "foxtrot",
        "golf",
        "hotel",
        "india",
        "juliett",
        "kilo",
        "lima",
    ),
    *(
        "mike",
        "november",
        "oscar",
        "papa",
        "quebec",
        "romeo",
        "sierra",
        "tango",
        "uniform",
        "victor",
        "whiskey",
    ),
    *("xray", "yankee", "zulu"),
)
_OTHER_NATO_WORDS = {"alpha": "a", "juliet": "j", "whisky": "w", "x-ray": "x"}
_NATO = dict(zip(_NATO_WORDS, string.ascii_lowercase, strict=True)) | _OTHER_NATO_WORDS
_NATO_WORD = "|".join(sorted(_NATO, key=len, reverse=True))


class Reading(NamedTuple):
    """A text as it can be read, with start and end of each character in the original.

    `certain`: the original shows that it is encoded, so that the reading may itself be disguised.
    """

    text: str
    starts: list[int]
    ends: list[int]
    certain: bool


def readings(text: str) -> Iterator[Reading]:
    """Yield all other readings of a text that make a difference."""
    for pattern, decode in _ENCODINGS:
        if pattern.search(text):
            reading = _replaced(text, pattern, decode)
            if reading.text != text:
                yield reading
    yield from _in_ciphers(text)
    decoded = _decoded(text)
    if decoded.text != text:
        yield decoded
        yield from (_within(decoded, reading) for reading in _in_ciphers(decoded.text))


def _decoded(text: str) -> Reading:
    """Return the text after all encodings were undone, one within the other."""
    reading = Reading(text, list(range(len(text))), list(range(1, len(text) + 1)), certain=True)
    for _ in range(MOST_ENCODINGS):
        before = reading.text
        for pattern, decode in _ENCODINGS:
            if pattern.search(reading.text):
                reading = _within(reading, _replaced(reading.text, pattern, decode))
        if reading.text == before:
            break
    return reading


def _within(outer: Reading, inner: Reading) -> Reading:
    """Return a reading of a reading, with the places of the original."""
    starts = [outer.starts[place] for place in inner.starts]
    return Reading(inner.text, starts, [outer.ends[end - 1] for end in inner.ends], inner.certain)


def _in_ciphers(text: str) -> Iterator[Reading]:
    lower = text.lower()
    if len(lower) == len(text):
        places = list(range(len(text)))
        ends = [place + 1 for place in places]
        for cipher in _CIPHERS:
            yield Reading(lower.translate(cipher), places, ends, certain=False)
        yield Reading(text.translate(_ROT47), places, ends, certain=False)
        yield Reading(lower[::-1], places[::-1], ends[::-1], certain=False)
        yield _each_word_backwards(lower)
        if sum(character in lower for character in "ɐɔǝɟƃɥᴉɾʞ\u026fɹʇʌʍʎ") >= 1:
            turned = "".join(_UPSIDE.get(character, character) for character in lower)
            yield Reading(turned, places, ends, certain=True)
            yield Reading(turned[::-1], places[::-1], ends[::-1], certain=True)


def _replaced(text: str, pattern: re.Pattern[str], decode: Callable[[str], str | None]) -> Reading:
    made: list[str] = []
    starts: list[int] = []
    ends: list[int] = []

    def add(part: str, start: int, end: int | None = None) -> None:
        for offset, character in enumerate(part):
            made.append(character)
            starts.append(start if end is not None else start + offset)
            ends.append(end if end is not None else start + offset + 1)

    read_to = 0
    for match in pattern.finditer(text):
        decoded = decode(match[0])
        if decoded is None:
            continue
        add(text[read_to : match.start()], read_to)
        add(decoded[:MOST_CHARACTERS], match.start(), match.end())
        read_to = match.end()
    add(text[read_to:], read_to)
    return Reading("".join(made), starts, ends, certain=True)


def _each_word_backwards(text: str) -> Reading:
    places = [
        place
        for match in re.finditer(r"\s+|\S+", text)
        for place in (range(*match.span()) if match[0].isspace() else reversed(range(*match.span())))
    ]
    made = "".join(text[place] for place in places)
    return Reading(made, places, [place + 1 for place in places], certain=False)


def _as_text(data: bytes) -> str | None:
    """Return the bytes as text, or None if they are none."""
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return text if len(text) >= 3 and all(c.isprintable() or c.isspace() for c in text) else None


def _base64(token: str) -> str | None:
    bare = token.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return _as_text(base64.b64decode(bare + "=" * (-len(bare) % 4), validate=True))
    except (binascii.Error, ValueError):
        return None


def _base32(token: str) -> str | None:
    bare = token.rstrip("=").upper()
    try:
        return _as_text(base64.b32decode(bare + "=" * (-len(bare) % 8)))
    except (binascii.Error, ValueError):
        return None


def _hexadecimal(run: str) -> str | None:
    digits = re.sub(r"[^0-9a-fA-F]|0x", "", run.replace("0x", " ").replace("\\x", " "))
    return _as_text(bytes.fromhex(digits)) if len(digits) % 2 == 0 else None


def _binary(run: str) -> str | None:
    digits = re.sub(r"[^01]", "", run)
    return _as_text(bytes(int(digits[at : at + 8], 2) for at in range(0, len(digits) - 7, 8)))


def _decimal(run: str) -> str | None:
    codes = [int(code) for code in re.findall(r"\d+", run)]
    return "".join(map(chr, codes)) if all(32 <= code < 127 for code in codes) else None


def _percent(run: str) -> str | None:
    return unquote_to_bytes(run).decode("utf-8", "replace")


def _escapes(run: str) -> str | None:
    codes = re.findall(r"\\(?:u\{?([0-9a-fA-F]{2,6})\}?|x([0-9a-fA-F]{2}))", run)
    return "".join(chr(min(int(long or short, 16), 0x10FFFF)) for long, short in codes)


def _octal(run: str) -> str | None:
    return bytes(int(code, 8) for code in run.split("\\")[1:]).decode("utf-8", "replace")


def _quoted(run: str) -> str | None:
    return bytes.fromhex(run.replace("=", "")).decode("utf-8", "replace")


def _lines_of_base64(run: str) -> str | None:
    return _base64("".join(run.split()))


def _nothing(_: str) -> str:
    return ""


def _letters_of(run: str) -> str:
    return "".join(re.findall(r"\w", run))


def _tags(run: str) -> str | None:
    return " " + "".join(chr(ord(c) - 0xE0000) if _FIRST_TAG <= ord(c) <= _LAST_TAG else "" for c in run)


def _braille(run: str) -> str | None:
    return "".join(_BRAILLE.get(character, " ") for character in run)


def _morse(run: str) -> str | None:
    words = re.split(r"\s*[/|]\s*|\s{2,}", run.translate(_DOTS).strip())
    letters = [[_MORSE.get(sign) for sign in word.split()] for word in words]
    if any(letter is None for word in letters for letter in word):
        return None
    return " ".join("".join(letter or "" for letter in word) for word in letters)


def _nato(run: str) -> str | None:
    words = re.findall(rf"{_NATO_WORD}|space|[/|]", run.casefold())
    return "".join(_NATO.get(word, " ") for word in words)


_ENCODINGS: tuple[tuple[re.Pattern[str], Callable[[str], str | None]], ...] = (
    (re.compile(r"(?:%[0-9a-fA-F]{2})+"), _percent),
    (re.compile(r"(?:&(?:#\d{1,7};?|#[xX][0-9a-fA-F]{1,6};?|[A-Za-z]{2,8};))+"), html.unescape),
    (re.compile(r"</?[A-Za-z][^<>]{0,80}>|<!--[^<>]{0,80}-->"), _nothing),
    (re.compile(r"-[ \t]{0,4}\r?\n[ \t]{0,4}"), _nothing),
    (
        re.compile(r"(?<!\w)\w(?P<gap>[^\w\s]{0,2}\s|[^\w\s]{1,2})\w(?:(?P=gap)\w){2,}(?!\w)"),
        _letters_of,
    ),
    (re.compile(r"(?:\\[0-3][0-7]{2})+"), _octal),
    (re.compile(r"(?:=[0-9a-fA-F]{2}){3,}"), _quoted),
    (re.compile(r"(?:\\(?:u\{?[0-9a-fA-F]{4,6}\}?|x[0-9a-fA-F]{2}))+"), _escapes),
    (re.compile("[\U000e0000-\U000e007f]{3,}"), _tags),
    (re.compile("[\u2800-\u283f]{3,}"), _braille),
    (
        re.compile(r"(?<![0-9a-zA-Z])(?:(?:0x|\\x)?[0-9a-fA-F]{2}[\s:,;-]{0,2}){4,}(?![0-9a-zA-Z])"),
        _hexadecimal,
    ),
    (re.compile(r"(?<!\w)(?:[01]{8}[\s,]{0,2}){3,}(?!\w)"), _binary),
    (re.compile(r"(?<!\w)(?:\d{2,3}[\s,]{1,2}){5,}\d{2,3}(?!\w)"), _decimal),
    (
        re.compile(
            r"(?<![\w+/=-])(?=[\w+/-]*[A-Z0-9])(?:[A-Za-z0-9+/_-]{8,}={0,2}|[A-Za-z0-9+/_-]{6,7}={1,2})(?![\w+/=-])"
        ),
        _base64,
    ),
    (
        re.compile(r"(?<![\w+/=-])(?:[A-Za-z0-9+/]{8,80}\s{1,4})+[A-Za-z0-9+/]{2,80}={0,2}(?![\w+/=-])"),
        _lines_of_base64,
    ),
    (re.compile(r"(?<![\w=])(?:[A-Za-z2-7]{16,}|[A-Z2-7]{8,})={0,6}(?![\w=])"), _base32),
    (re.compile(r"(?<!\w)[.\-–—\u2212_·•∙]{1,5}(?:[ \t/|]{1,5}[.\-–—\u2212_·•∙]{1,5}){3,}(?!\w)"), _morse),
    (
        re.compile(rf"\b(?:{_NATO_WORD})(?:[\s,/|-]+(?:{_NATO_WORD}|space|[/|])){{3,}}\b", re.IGNORECASE),
        _nato,
    ),
)
_LETTERS = string.ascii_lowercase
_CIPHERS = (
    str.maketrans(_LETTERS, codecs.encode(_LETTERS, "rot13")),
    str.maketrans(_LETTERS, _LETTERS[-3:] + _LETTERS[:-3]),
    str.maketrans(_LETTERS, _LETTERS[::-1]),
)
_ROT47 = {code: 33 + (code - 33 + 47) % 94 for code in range(33, 127)}
