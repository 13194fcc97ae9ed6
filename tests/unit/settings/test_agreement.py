from collections.abc import Callable

import pytest

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
KEY = ('[key]\ncustodian = "pem"\ndirectory = "keys"\n', "")
ISSUER = ('[issuer]\nurl = "https://oidc.example.com"\n', "")
FROM_FILE = ('source = "self_signed"', 'source = "file"\nfile = "/var/run/token"')
PUBLISHING = ("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n')


def test_signing_needs_an_issuer_and_a_key(mistakes: Mistakes) -> None:
    assert [line.split(":")[0] for line in mistakes(KEY, ISSUER)] == ["issuer", "key"]


def test_publishing_needs_them_as_well(mistakes: Mistakes, read: Read) -> None:
    assert [line.split(":")[0] for line in mistakes(KEY, ISSUER, FROM_FILE, PUBLISHING)] == ["issuer", "key"]
    assert read(FROM_FILE, PUBLISHING).publishing is not None


def test_an_issuer_that_is_wrong_is_not_also_called_missing(mistakes: Mistakes) -> None:
    told = mistakes(("https://oidc.example.com", "http://oidc.example.com"), ('custodian = "pem"', "custodian = 1"))
    assert [line.split(":")[0] for line in told] == ["issuer.url", "key.custodian"]


def test_a_grant_of_a_role_that_is_wrong_by_itself_is_no_second_mistake(mistakes: Mistakes) -> None:
    assert len(mistakes(("role/backup", "user/backup"))) == 1


def test_without_any_role_no_grant_is_blamed(mistakes: Mistakes) -> None:
    told = mistakes(('[roles.backup]\narn = "arn:aws:iam::123456789012:role/backup"\n', ""))
    assert told == ["roles: there is none; add at least one [roles.NAME] with its arn"]


def test_tags_of_identity_and_role_together_are_50_at_most(mistakes: Mistakes, read: Read) -> None:
    common = "tags = { " + ", ".join(f'c{n} = "v"' for n in range(30)) + " }"
    own = "tags = { " + ", ".join(f'r{n} = "v"' for n in range(21)) + " }"
    change = ('source = "self_signed"', common), ('role/backup"', f'role/backup"\n{own}')
    assert mistakes(*change) == [
        "roles.backup.tags: comes to more than 50 tags with identity.tags; AWS takes at most 50"
    ]
    assert len(read(change[0], (change[1][0], change[1][1].replace("r20", "c0"))).token_roles["backup"].tags) == 21


@pytest.mark.parametrize("site", ["keys", "keys/../keys", ".", "/"])
def test_keys_are_not_published(site: str, mistakes: Mistakes) -> None:
    told = mistakes(("", f'\n[publishing]\nto = "directory"\ndirectory = "{site}"\n'))
    said = "is in publishing.directory, which is shown to the world; move one of them elsewhere"
    assert f"key.directory: {said}" in told
    assert (f"grants#1.token_file: {said}" in told) is (site == "/")


def test_what_is_kept_for_callers_is_not_published(mistakes: Mistakes) -> None:
    site = '\n[publishing]\nto = "directory"\ndirectory = "site"\n'
    file = '\n[[files]]\nkind = "credentials"\npath = "site/a"\nrole = "backup"\nprofile = "p"\n'
    told = mistakes(("", site), ("", file), ("", '\n[unit_tokens]\nsecret = "site/../site/b"\n'))
    said = "is in publishing.directory, which is shown to the world; move one of them elsewhere"
    assert told == [f"files#1.path: {said}", f"unit_tokens.secret: {said}"]


def test_no_two_listeners_have_one_address(mistakes: Mistakes) -> None:
    site = '\n[publishing]\nto = "https"\nlisten = "0.0.0.0:80"\ncertificate = "/c"\nprivate_key = "/k"\n'
    told = mistakes(("", site), ("", '\n[containers]\nengine = "docker"\n'))
    assert told == ["publishing.listen: is the address of containers.listen#1, too; give it another port"]


def test_what_is_published_may_stand_below_or_beside_the_keys(read: Read) -> None:
    for site in ("keys/site", "keys2"):
        assert read(("", f'\n[publishing]\nto = "directory"\ndirectory = "{site}"\n')).publishing is not None
