"""Mechanical disguises: what programs do to a text so that filters do not read it, one function each."""

from __future__ import annotations

import base64
import codecs
import re
import string
import unicodedata
from collections.abc import Callable
from urllib.parse import quote

SMALL = "ᴀʙᴄᴅᴇꜰɢʜɪᴊᴋʟᴍɴᴏᴘǫʀꜱᴛᴜᴠᴡxʏᴢ"
UPSIDE = "ɐqɔpǝɟƃɥᴉɾʞlɯuodbɹsʇnʌʍxʎz"
CYRILLIC = dict(zip("aceopxyisjhkbtm", "асеорхуіѕјһквтм", strict=True))
GREEK = dict(zip("aeioptuvnkx", "αειορτυνηκχ", strict=True))
SUPERSCRIPT = dict(zip("abcdefghijklmnoprstuvwxyz", "ᵃᵇᶜᵈᵉᶠᵍʰⁱʲᵏˡᵐⁿᵒᵖʳˢᵗᵘᵛʷˣʸᶻ", strict=True))
MORSE_SIGNS = (
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
MORSE = dict(zip(string.ascii_lowercase + string.digits, MORSE_SIGNS, strict=True))
BRAILLE = dict(zip(string.ascii_lowercase, "⠁⠃⠉⠙⠑⠋⠛⠓⠊⠚⠅⠇⠍⠝⠕⠏⠟⠗⠎⠞⠥⠧⠺⠭⠽⠵", strict=True))
NATO_WORDS = (
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
NATO = dict(zip(string.ascii_lowercase, NATO_WORDS, strict=True))

ARMENIAN = {"o": "օ", "u": "ս", "h": "հ", "n": "ո", "g": "ց", "q": "զ"}
CHEROKEE = dict(zip("adeghijklmprstvwz", "ᎪᎠᎬᏀᎻᎥᎫᏦᏞᎷᏢᏒᏚᎢᏙᎳᏃ", strict=True))
EMOJI = {"a": "🅰️", "b": "🅱️", "o": "🅾️", "p": "🅿️", "i": "ℹ️", "m": "Ⓜ️", "x": "❌"}


def _each(table: dict[str, str]) -> Callable[[str], str]:
    return lambda text: "".join(table.get(letter, letter) for letter in text.lower())


def _plain(text: str) -> str:
    """Returns the text in plain ASCII letters, as one types it for a code that has no accents."""
    folded = unicodedata.normalize("NFKD", text.lower().replace("ß", "ss"))
    return folded.encode("ascii", "ignore").decode()


def _shifted(first: int) -> Callable[[str], str]:
    return lambda text: "".join(chr(first + ord(c) - 97) if "a" <= c <= "z" else c for c in text.lower())


def _caesar(by: int) -> Callable[[str], str]:
    return lambda text: "".join(
        chr((ord(c) - 97 + by) % 26 + 97) if "a" <= c <= "z" else c for c in _plain(text)
    )


def _between(sign: str) -> Callable[[str], str]:
    return lambda text: " ".join(sign.join(word) for word in text.split())


def _halves(sign: str) -> Callable[[str], str]:
    """Puts the sign in the middle of each word."""
    return lambda text: " ".join(
        word[: len(word) // 2] + sign + word[len(word) // 2 :] if len(word) > 3 else word
        for word in text.split()
    )


def _spelled(table: dict[str, str], gap: str = " ", words: str = " / ") -> Callable[[str], str]:
    return lambda text: words.join(
        gap.join(table[c] for c in word if c in table) for word in _plain(text).split()
    )


DISGUISES: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "capitals": str.upper,
    "alternating capitals": lambda t: "".join(c.upper() if i % 2 else c for i, c in enumerate(t)),
    "zero-width spaces": _between("\u200b"),
    "soft hyphens": _between("\u00ad"),
    "marks of direction": lambda t: "\u202e".join(t),
    "tatweel": _between("\u0640"),
    "full width": lambda t: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in t),
    "mathematical bold": _shifted(0x1D41A),
    "mathematical script": _shifted(0x1D4EA),
    "circled": _shifted(0x24D0),
    "squared": _shifted(0x1F130),
    "regional indicators": _shifted(0x1F1E6),
    "superscript": _each(SUPERSCRIPT),
    "small capitals": lambda t: "".join(SMALL[ord(c) - 97] if "a" <= c <= "z" else c for c in t.lower()),
    "upside down": lambda t: "".join(UPSIDE[ord(c) - 97] if "a" <= c <= "z" else c for c in _plain(t)),
    "accents": lambda t: "".join(unicodedata.normalize("NFC", c + "\u0301") if c.isalpha() else c for c in t),
    "stacked marks": lambda t: "".join(c + "\u0336\u0310\u0323" for c in t),
    "Cyrillic": _each(CYRILLIC),
    "Greek": _each(GREEK),
    "digits for letters": _each(dict(zip("aeiost", "431057", strict=True))),
    "more digits for letters": _each(dict(zip("aeiostbgz", "431057892", strict=True))),
    "signs for letters": _each({"a": "@", "s": "$", "i": "!"}),
    "a star for a vowel": lambda t: next((t.replace(v, "*", 1) for v in "eaiou" if v in t), t),
    "dots between": _between("."),
    "dashes between": _between("-"),
    "underscores between": _between("_"),
    "slashes between": _between("/"),
    "spaces between": lambda t: "   ".join(" ".join(word) for word in t.split()),
    "line breaks between": lambda t: "\n\n".join("\n".join(word) for word in t.split()),
    "emoji between": _between("🔥"),
    "repeated letters": lambda t: "".join(c * 3 if c.isalpha() else c for c in t),
    "joined words": lambda t: t.replace(" ", ""),
    "underscores for spaces": lambda t: t.replace(" ", "_"),
    "backwards": lambda t: t[::-1],
    "each word backwards": lambda t: " ".join(word[::-1] for word in t.split()),
    "ROT13": lambda t: codecs.encode(_plain(t), "rot13"),
    "Caesar, 3": _caesar(3),
    "Atbash": lambda t: "".join(chr(219 - ord(c)) if "a" <= c <= "z" else c for c in _plain(t)),
    "Base64": lambda t: base64.b64encode(t.encode()).decode(),
    "Base32": lambda t: base64.b32encode(t.encode()).decode(),
    "hexadecimal": lambda t: t.encode().hex(),
    "binary": lambda t: " ".join(f"{b:08b}" for b in t.encode()),
    "percent-encoding": lambda t: "".join(f"%{b:02X}" for b in t.encode()),
    "partial percent-encoding": quote,
    "HTML entities": lambda t: "".join(f"&#{ord(c)};" for c in t),
    "escapes": lambda t: "".join(f"\\u{ord(c):04x}" for c in t),
    "tags": lambda t: "a cat" + "".join(chr(0xE0000 + ord(c)) for c in _plain(t)),
    "Morse": _spelled(MORSE),
    "Braille": _spelled(BRAILLE, gap="", words="⠀"),
    "NATO": _spelled(NATO, words=" space "),
    "Fraktur": _shifted(0x1D586),
    "monospace": _shifted(0x1D68A),
    "parenthesized": _shifted(0x249C),
    "variation selectors": _between("\ufe0f"),
    "Hangul fillers": _between("\u3164"),
    "asterisks between": _between("*"),
    "commas between": _between(","),
    "brackets": lambda t: " ".join("".join(f"[{c}]" for c in w) for w in t.split()),
    "a dot in each word": _halves("."),
    "one letter repeated": lambda t: re.sub(r"([aeiou])", r"\1\1\1\1\1", t, count=2),
    "camel case": lambda t: "".join(w[:1].upper() + w[1:] for w in t.split()),
    "dashes for spaces": lambda t: t.replace(" ", "-"),
    "HTML tags between": _between("<b></b>"),
    "HTML entities in hexadecimal": lambda t: "".join(f"&#x{ord(c):x};" for c in t),
    "Caesar, 5": _caesar(5),
    "URL-safe Base64": lambda t: base64.urlsafe_b64encode(t.encode()).decode().rstrip("="),
    "decimal codes": lambda t: " ".join(str(ord(c)) for c in _plain(t)),
    "leading and trailing signs": lambda t: " ".join(f"~{w}~" for w in t.split()),
    "double-struck": _shifted(0x1D552),
    "sans-serif bold": _shifted(0x1D5EE),
    "negative circled": _shifted(0x1F150),
    "Cherokee": _each(CHEROKEE),
    "letters of emoji": _each(EMOJI),
    "Armenian": _each(ARMENIAN),
    "word joiners": _between("\u2060"),
    "thin spaces": lambda t: "   ".join("\u2009".join(w) for w in t.split()),
    "no-break spaces": lambda t: t.replace(" ", "\u00a0"),
    "middle dots": _between("·"),
    "tildes between": _between("~"),
    "bars between": _between("|"),
    "a hyphen in each word": _halves("-"),
    "a line break in each word": _halves("-\n"),
    "last letter repeated": lambda t: " ".join(w + w[-1] * 6 if w[-1].isalpha() else w for w in t.split()),
    "Zalgo": lambda t: "".join(c + "\u0300\u0316\u0334\u0489"[:4] for c in t),
    "diaeresis": lambda t: "".join(
        unicodedata.normalize("NFC", c + "\u0308") if c.isalpha() else c for c in t
    ),
    "dots for spaces": lambda t: t.replace(" ", "."),
    "Base64 of ROT13": lambda t: base64.b64encode(codecs.encode(_plain(t), "rot13").encode()).decode(),
    "Base64 in two lines": lambda t: "\n".join(re.findall(".{1,20}", base64.b64encode(t.encode()).decode())),
    "octal escapes": lambda t: "".join(f"\\{b:03o}" for b in t.encode()),
    "quoted-printable": lambda t: "".join(f"={b:02X}" for b in t.encode()),
    "ROT47": lambda t: "".join(
        chr(33 + (ord(c) - 33 + 47) % 94) if "!" <= c <= "~" else c for c in _plain(t)
    ),
    "Caesar, 7": _caesar(7),
    "backwards in capitals": lambda t: t[::-1].upper(),
    "hexadecimal with spaces": lambda t: t.encode().hex(" "),
    "percent-encoded twice": lambda t: "".join(f"%25{b:02X}" for b in t.encode()),
    "every letter doubled": lambda t: "".join(c * 2 if c.isalpha() else c for c in t),
    "lenticular brackets": lambda t: " ".join("".join(f"【{c}】" for c in w) for w in t.split()),
    "plus between": lambda t: " ".join("+".join(w) for w in t.split()),
    "commas and spaces between": lambda t: "; ".join(", ".join(w) for w in t.split()),
    "full width and spaces": lambda t: "   ".join(
        " ".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in w) for w in t.split()
    ),
    "Cyrillic o and e with 1": lambda t: t.lower().replace("o", "о").replace("e", "е").replace("i", "1"),
    "entities, no semicolon": lambda t: " ".join("".join(f"&#{ord(c)}" for c in w) for w in t.split()),
    "Base64 in a sentence": lambda t: f"a nice photo of {base64.b64encode(t.encode()).decode()} at dusk",
    "underscored": lambda t: " ".join(f"__{w}__" for w in t.split()),
    "keycaps": lambda t: "".join(c + "\ufe0f\u20e3" if c.isdigit() else c for c in t),
    "Arabic digits": lambda t: "".join(chr(0x660 + int(c)) if c.isdigit() and c.isascii() else c for c in t),
    "overlines": lambda t: "".join(c + "\u0305" for c in t),
    "emoji for spaces": lambda t: t.replace(" ", "🌸"),
    "bold italic": lambda t: "".join(chr(0x1D482 + ord(c) - 97) if "a" <= c <= "z" else c for c in t.lower()),
    "zero-width and dots": lambda t: " ".join("\u200c.".join(w) for w in t.split()),
    "shouted with ellipses": lambda t: "...".join(t.upper().split()),
    "hashtag": lambda t: "#" + "".join(w.capitalize() for w in t.split()),
    "Caesar, 19": lambda t: "".join(
        chr((ord(c) - 97 + 19) % 26 + 97) if "a" <= c <= "z" else c for c in _plain(t)
    ),
    "hexadecimal of Base64": lambda t: base64.b64encode(t.encode()).hex(),
}
