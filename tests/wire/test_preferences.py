"""Tests of user preferences: stored per user for all sessions, and limited to what the studio offers."""

from __future__ import annotations

import pytest

from services.accounts.preferences import Preferences, Theme
from services.aws.table import Table
from services.build import Studio
from services.errors import InvalidRequest
from services.records import User
from services.store import keys


def test_preferences_are_the_defaults_until_the_user_saves_some(
    studio: Studio, maker: User, other: User
) -> None:
    wanted = Preferences(theme=Theme.DARK, model="pocket", quality="fine", count=2)
    before = studio.preferences.get(maker)

    studio.preferences.save(maker, wanted)

    assert before == Preferences()
    assert studio.preferences.get(maker) == wanted
    assert studio.preferences.get(other) == Preferences()


@pytest.mark.parametrize(
    ("wanted", "param"),
    [
        (Preferences(model="![x](http://evil.example)"), "model"),
        (Preferences(quality="finest"), "quality"),
        (Preferences(count=0), "count"),
        (Preferences(count=99), "count"),
    ],
)
def test_an_unavailable_choice_is_refused_and_nothing_changes(
    studio: Studio, maker: User, wanted: Preferences, param: str
) -> None:
    studio.preferences.save(maker, Preferences(count=3))

    with pytest.raises(InvalidRequest) as refused:
        studio.preferences.save(maker, wanted)

    assert refused.value.param == param
    assert studio.preferences.get(maker) == Preferences(count=3)


def test_stored_choices_that_are_no_longer_offered_are_dropped(
    studio: Studio, maker: User, table: Table
) -> None:
    studio.preferences.save(maker, Preferences(theme=Theme.LIGHT, count=2))
    table.put(
        {"PK": keys.user_pk(maker.id), "SK": keys.PREFERENCES, "theme": "light", "model": "gone", "count": 40}
    )

    assert studio.preferences.get(maker) == Preferences(theme=Theme.LIGHT, count=4)
