from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.vain import in_vain

Read = Callable[..., Settings]
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
CONTAINERS = ("", '\n[containers]\nengine = "podman"\n')
BY_ADDRESS = ("", '\n[containers]\nengine = "podman"\nrecognise = "address"\n')
UNIT_TOKENS = ("", "\n[unit_tokens]\n")


@pytest.mark.parametrize(
    ("words", "doubt"),
    [
        ('unit = "session-*.scope"\nslice = "system.slice"',
         ('slice: nothing that a user starts is in "system.slice", but in user.slice; leave it out, or name the slice '
          "of a user, as in user-1000.slice")),
        ('user_unit = "sync.service"\nslice = ["batch.slice"]',
         ('slice: nothing that a user starts is in "batch.slice", but in user.slice; leave it out, or name the slice '
          "of a user, as in user-1000.slice")),
        ('unit = ["user@1000.service", "session-c*.scope"]\nslice = "app.slice"',
         ('slice: nothing that a user starts is in "app.slice", but in user.slice; leave it out, or name the slice of '
          "a user, as in user-1000.slice")),
        ('unit = "session-3.scope"',
         'unit: "session-3.scope" is one session, and the next has another number; grant it by user'),
    ],
)  # fmt: skip
def test_what_is_never_true_together_is_said(words: str, doubt: str, read: Read) -> None:
    assert list(in_vain(read((TOKEN, words)))) == [f"grants#1.{doubt}"]


@pytest.mark.parametrize(
    "words",
    [
        'unit = "session-*.scope"\nslice = "user-1000.slice"',
        'unit = "backup.service"\nslice = "system.slice"',
        'unit = ["backup.service", "session-*.scope"]\nslice = "system.slice"',
        'user_unit = "sync.service"\nslice = ["batch.slice", "user.slice"]',
        'user_unit = "sync.service"\nunit = "user@1000.service"',
    ],
)
def test_what_can_be_true_together_leaves_no_doubt(words: str, read: Read) -> None:
    assert list(in_vain(read((TOKEN, words)))) == []


def test_a_unit_never_has_the_token_of_another(read: Read) -> None:
    def doubts(words: str) -> list[str]:
        return list(in_vain(read((TOKEN, words), UNIT_TOKENS)))

    assert doubts('unit = "a.service"\nunit_token = "b.service"') == [
        (
            'grants#1.unit_token: a token of "b.service" is not seen in "a.service"; write the same unit in both, or '
            "leave one of them out"
        )
    ]
    assert doubts('unit = ["a.service", "b@*.service"]\nunit_token = "b@?.service"') == []


def test_of_containers_the_kernel_tells_nothing_more(read: Read) -> None:
    words = (TOKEN, 'container = "web"\nuser = "alice"')
    (never,) = in_vain(read(words, BY_ADDRESS))
    assert never.startswith('grants#1.container: beside "user" it never fits: a container is known by its address')
    (hardly,) = in_vain(read(words, CONTAINERS))
    assert hardly.startswith('grants#1.container: beside "user" it fits only a container that uses the network of this')
    assert list(in_vain(read((TOKEN, 'container = "web"\ntoken_file = "/t"'), CONTAINERS))) == []


def test_sections_that_no_grant_needs_are_said_to_be_so(read: Read) -> None:
    assert list(in_vain(read(CONTAINERS, UNIT_TOKENS))) == [
        "containers: no grant names a container; add container to one, or take the section out",
        "unit_tokens: no grant names a unit by its token; add unit_token to one, or take the section out",
    ]
