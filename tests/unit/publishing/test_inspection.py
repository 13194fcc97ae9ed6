"""Is what a site says of its keys and caches read rightly?"""

from datetime import UTC, datetime

import pytest

from agent.publishing.inspection import Answer, Inspection

URL = "https://oidc.example.com/keys.json"


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("", None),
        ("public", None),
        ("public, max-age=300", 300),
        ('MAX-AGE = "60"', 60),
        ("max-age=60, s-maxage=3600", 3600),
        ("s-maxage=60, max-age=3600", 3600),
        ("no-store", 0),
        ("No-Cache, max-age=60", 0),
        ("max-age=soon", None),
        ("max-age=-5", None),
    ],
)
def test_how_long_a_copy_may_be_kept_at_most(said: str, seconds: int | None) -> None:
    assert Answer(URL, cache_control=said).max_age == seconds


@pytest.mark.parametrize(("age", "left"), [(None, 300), (0, 300), (120, 180), (7200, 0)])
def test_an_old_copy_is_good_for_less(age: int | None, left: int) -> None:
    assert Answer(URL, cache_control="max-age=300", age=age).fresh_for == left
    assert Answer(URL, age=age).fresh_for is None


@pytest.mark.parametrize(
    ("url", "host"), [(URL, "oidc.example.com"), ("https://[::1]:1/", "::1"), ("https://[", "https://["), ("", "")]
)
def test_the_host_is_who_was_asked(url: str, host: str) -> None:
    assert Answer(url).host == host


def inspection(document: dict[str, object] | None) -> Inspection:
    now = datetime(2026, 11, 20, tzinfo=UTC)
    return Inspection("https://oidc.example.com", now, Answer(URL), Answer(URL, document=document))


@pytest.mark.parametrize("document", [None, {}, {"keys": None}, {"keys": {}}, {"keys": [1, None, []]}])
def test_what_is_no_key_set_has_no_keys(document: dict[str, object] | None) -> None:
    assert inspection(document).shown == ()
    assert inspection(document).keys == {}


def test_a_key_that_is_there_twice_and_differs_is_nobodys() -> None:
    one, other, nameless = {"kid": "a", "n": "1"}, {"kid": "a", "n": "2"}, {"n": "3"}
    assert inspection({"keys": [one, nameless]}).keys == {"a": one}
    assert inspection({"keys": [one, dict(one)]}).keys == {"a": one}
    assert inspection({"keys": [one, other, one]}).keys == {}
    assert len(inspection({"keys": [one, other, nameless]}).shown) == 3


def test_answers_are_named_as_sentences_name_them() -> None:
    names = [name for name, _ in inspection({}).answers]
    assert names == ["the discovery document", "the key set"]
    assert Inspection("https://a", datetime(2026, 1, 1, tzinfo=UTC), Answer(URL)).answers[1:] == ()
