"""Characters of other scripts that look like Latin letters, after Unicode's confusables.txt (Unicode License v3)."""

from __future__ import annotations

import string

# Lower-case letters of other scripts that look like Latin letters and that compatibility decomposition does not change
# (after Unicode's confusables.txt, revision 16; single letters only).
LOOK_ALIKES = {
    "a": "\u0430\u03b1\u0251\u1d00\u2c65\ua4ee\u13aa\uab7a",
    "b": "\u0432\u03b2\u0253\u0299\u1d03\u044c\u0180\u13cf",
    "c": "\u0441\u03f2\u1d04\u0188\u2184\u023c\u13df\uabaf",
    "d": "\u0501\u0257\u1d05\u0111\u0256\u13a0\uab70",
    "e": "\u0435\u03b5\u0454\u1d07\u025b\u0247\u0511\u04bd\u212e\u13ac\uab7c",
    "f": "\u03dd\u0192\ua730\u0584",
    "g": "\u0581\u0261\u0262\u01e5\u0260\u13c0",
    "h": "\u04bb\u0570\u029c\u043d\u0127\u0266\u13bb\uab8b",
    "i": "\u0456\u03b9\u0131\u0269\u026a\u0268\u04cf\u1d7b\u13a5",
    "j": "\u0458\u03f3\u1d0a\u0249\u0575\u13ab",
    "k": "\u043a\u03ba\u1d0b\u0199\u051f\u13e6",
    "l": "\u029f\u0142\u019a\u026b\u2113\u053c\u13de",
    "m": "\u043c\u1d0d\u0271\u03fb\u13b7\uab87",
    "n": "\u0578\u0274\u043f\u03b7\u057c\u0272\u014b\u0438",
    "o": "\u043e\u03bf\u03c3\u0585\u1d0f\u00f8\u0275\u0ce6\u0d20",
    "p": "\u0440\u03c1\u1d18\u01a5\u1d7d\u03f7\u13e2\uabb2",
    "q": "\u051b\u0566\u024b\u02a0",
    "r": "\u0280\u0433\u1d26\u024d\u027e\u0491\u13a1\uab71",
    "s": "\u0455\ua731\u0282\u01bd\u054f\u13da\uabaa",
    "t": "\u0442\u03c4\u1d1b\u0167\u01ad\u0288\u13a2\uab72",
    "u": "\u03c5\u057d\u1d1c\u0446\u0289\u028b\u144c",
    "v": "\u03bd\u0475\u1d20\u0474\u13d9\uaba9",
    "w": "\u051d\u0461\u1d21\u03c9\u0561\u13b3\uab83",
    "x": "\u0445\u03c7\u04b3\u2179\u166e",
    "y": "\u0443\u04af\u03b3\u028f\u01b4\u024f\u13bd",
    "z": "\u1d22\u01b6\u0225\u0290\u13c3\uab93",
}
# The rest of confusables.txt: capitals whose small letters look different, rarer scripts, and signs.
RARE_LOOK_ALIKES = {
    "a": "\u15c5\u237a\U000102a0\U00016f40",
    "b": "\u0184\u13f4\u1472\u15af\u15f7\ua4d0\ua7b4\U00010282\U000102a1\U00010301",
    "c": "\u2ca4\u2ca5\ua4da\U000102a2\U00010302\U00010415\U0001043d\U0001051c\U0001f74c",
    "d": "\u13e7\u146f\u15de\u15ea\ua4d2\ua4d3",
    "e": "\u22ff\u2d39\ua4f0\uab32\U00010286\U000118a6\U000118ae",
    "f": ("\u15b4\u1e9d\ua4dd\ua798\ua799\uab35\U00010287\U000102a5\U00010525\U000118a2\U000118c2\U0001d213"),
    "g": "\u018d\u050c\u13f3\u1d83\ua4d6",
    "h": "\u0397\u13c2\u157c\u2c8e\ua4e7\U000102cf",
    "i": "\u2373\ua647\U000118c3",
    "j": "\u148d\ua4d9\ua7b2",
    "k": "\u16d5\u2c94\ua4d7\U00010518",
    "l": (
        "\u0196\u14aa\u16c1\u2223\u23fd\u2c92\u2cd0\u2d4f\ua4e1\ua4f2\U0001028a\U00010309\U0001041b"
        "\U00010526\U000118a3\U000118b2\U00016f16\U00016f28\U0001d22a"
    ),
    "m": "\u039c\u15f0\u16d6\u2c98\ua4df\U000102b0\U00010311",
    "n": "\u039d\u2c9a\ua4e0\U00010513",
    "o": (
        "\u0b20\u101d\u10ff\u12d0\u1d11\u2c9e\u2c9f\u2d54\u3007\ua4f3\uab3d\U00010292\U000102ab"
        "\U00010404\U0001042c\U000104c2\U000104ea\U00010516\U000118b5\U000118c8\U000118d7\u2b55"
    ),
    "p": "\u146d\u2374\u2ca2\u2ca3\ua4d1\U00010295",
    "q": "\u0563\u2d55\u01eb",
    "r": "\u13d2\u1587\u2c85\ua4e3\uab47\uab48\uab81\U000104b4\U00016f35\U0001d216",
    "s": "\u13d5\ua4e2\U00010296\U00010420\U00010448\U000118c1\U00016f3a",
    "t": "\u22a4\u27d9\u2ca6\ua4d4\U00010297\U000102b1\U00010315\U000118bc\U00016f0a\U0001f768",
    "u": ("\u1200\u222a\u22c3\ua4f4\ua79f\uab4e\uab52\U000104ce\U000104f6\U000118b8\U000118d8\U00016f42"),
    "v": ("\u142f\u2228\u22c1\u2d38\ua4e6\ua6df\U0001051d\U00011706\U000118a0\U000118c0\U00016f08\U0001d20d"),
    "w": "\u026f\u13d4\ua4ea\U0001170a\U0001170e\U0001170f",
    "x": (
        "\u00d7\u1541\u157d\u166d\u16b7\u2573\u292b\u292c\u2a2f\u2cac\u2d5d\ua4eb\ua7b3\U00010290"
        "\U000102b4\U00010317\U00010527\u274c\u2716\u274e"
    ),
    "y": ("\u0263\u03a5\u10e7\u13a9\u1d8c\u1eff\u2ca8\ua4ec\uab5a\U000102b2\U000118a4\U000118dc\U00016f43"),
    "z": "\u0396\ua4dc\U000118a9\U000118c4",
}
# Negative circled, negative squared and regional-indicator letters: whole alphabets without a decomposition.
ALPHABETS = (0x1F150, 0x1F170, 0x1F1E6)
FOLDED = {
    other: letter
    for table in (RARE_LOOK_ALIKES, LOOK_ALIKES)
    for letter, others in table.items()
    for other in others
} | {
    chr(first + offset): letter for first in ALPHABETS for offset, letter in enumerate(string.ascii_lowercase)
}
