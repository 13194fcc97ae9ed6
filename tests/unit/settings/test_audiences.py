"""Whom tokens are for, and who of them will refuse all that our key signs."""

from collections.abc import Callable

import pytest

from agent.settings import Settings
from agent.settings.audiences import audiences, untakable

Read = Callable[..., Settings]

GRANT = '\n[[grants]]\naudiences = ["vault", "api://AzureADTokenExchange"]\nuser = "1000"\n'
FILE = '\n[[files]]\nkind = "token"\npath = "/run/rolecall/gcp.jwt"\naudience = "//iam.googleapis.com/projects/1"\n'
TOKENS = ("", GRANT + FILE)
NEXT = ("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n[rotation]\nkind = "ec-p384"\n')


def test_all_who_are_named_are_found_by_their_setting(read: Read) -> None:
    own = ("identity.audience", "sts.amazonaws.com")
    (count,) = {len(read().grants)}
    assert list(audiences(read(TOKENS))) == [
        own,
        (f"grants#{count + 1}.audiences#1", "vault"),
        (f"grants#{count + 1}.audiences#2", "api://AzureADTokenExchange"),
        (f"files#{len(read().files) + 1}.audience", "//iam.googleapis.com/projects/1"),
    ]
    one = ("", '\n[[grants]]\naudiences = ["vault"]\nuser = "1000"\n')
    assert list(audiences(read(one))) == [own, (f"grants#{count + 1}.audiences", "vault")]


def test_where_tokens_are_not_our_own_there_is_nobody_to_refuse_them(read: Read) -> None:
    theirs = ('source = "self_signed"', 'source = "file"\nfile = "/var/run/token"')
    assert list(audiences(read(theirs))) == []
    assert list(untakable(read(theirs), "ES256")) == []


@pytest.mark.parametrize(
    ("algorithm", "told"),
    [
        ("RS256", []),
        (None, []),
        ("ES256", ["Microsoft Entra ID, which takes RS256 alone; what ES256 has signed is refused there"]),
        (
            "RS512",
            [
                "Microsoft Entra ID, which takes RS256 alone; what RS512 has signed is refused there",
                "Google Cloud, which takes RS256 and ES256 alone; what RS512 has signed is refused there",
            ],
        ),
    ],
)
def test_a_key_that_they_do_not_take_is_told(algorithm: str | None, told: list[str], read: Read) -> None:
    assert [line.partition(" is ")[2] for line in untakable(read(TOKENS), algorithm)] == told


def test_a_next_key_that_they_do_not_take_is_told_in_time(read: Read) -> None:
    said = list(untakable(read(TOKENS, NEXT), "RS256"))
    assert [line.rpartition("; ")[2] for line in said] == [
        "what ec-p384 has signed is refused there (rotation.kind)",
        "what ec-p384 has signed is refused there (rotation.kind)",
    ]
    assert said[0].startswith("grants#")
