from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from agent.settings import Settings, Tpm2

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]

KEY = 'custodian = "pem"\ndirectory = "keys"'
ONE_FILE = (KEY, 'custodian = "pem"\nfile = "/etc/rolecall/key.pem"')
LABEL = 'custodian = "pkcs11"\nmodule = "/usr/lib/softhsm/libsofthsm2.so"\nlabel = "rolecall"\npin_file = "/pin"'
TOKEN = (KEY, LABEL)
VAULT = 'custodian = "vault_transit"\nkey = "a"'
PUBLISHED = ("", '\n[publishing]\nto = "directory"\ndirectory = "site"\n')
FROM_FILE = ('source = "self_signed"', 'source = "file"\nfile = "/var/run/token"')


def rotation(words: str = "") -> tuple[str, str]:
    return "", f"\n[rotation]\n{words}\n"


def following(words: str) -> tuple[str, str]:
    return "", f"\n[key.next]\n{words}\n"


TPM = following('custodian = "tpm2"\nhandle = "0x81000042"')


def test_keys_that_we_make_and_publish_follow_one_another_without_a_word(read: Read, tmp_path: Path) -> None:
    found = read(PUBLISHED)
    assert found.rotation is not None
    assert (found.rotation.automatic, found.rotation.every) == (True, timedelta(days=90))
    assert (found.rotation.state, found.rotation_asked) == (tmp_path / "keys", False)
    assert found.rotation.model_fields_set <= {"state"}


def test_keys_that_somebody_else_makes_or_publishes_do_not(read: Read) -> None:
    for change in [(), (ONE_FILE,), (ONE_FILE, PUBLISHED), (TOKEN,), ((KEY, LABEL + "\nmake_keys = false"), PUBLISHED)]:
        found = read(*change)
        assert (found.rotation, found.rotation_asked) == (None, False), change


def test_a_token_of_others_has_no_keys_to_rotate(read: Read) -> None:
    for change in [
        (FROM_FILE, PUBLISHED),
        (FROM_FILE, rotation()),
        (FROM_FILE, TPM),
        (FROM_FILE, rotation("automatic = true")),
    ]:
        assert read(*change).rotation is None


def test_what_is_asked_for_is_told_from_what_goes_without_saying(read: Read) -> None:
    assert read(rotation()).rotation_asked
    assert read(rotation('state = "keys"'), TPM).rotation_asked


@pytest.mark.parametrize(
    ("change", "environ", "state"),
    [
        ((PUBLISHED,), {}, "keys"),
        ((PUBLISHED,), {"STATE_DIRECTORY": "/var/lib/other"}, "keys"),
        ((TOKEN, PUBLISHED), {}, "/var/lib/rolecall"),
        ((TOKEN, PUBLISHED), {"STATE_DIRECTORY": "/var/lib/other:/var/lib/another"}, "/var/lib/other"),
        ((TOKEN, PUBLISHED), {"STATE_DIRECTORY": ""}, "/var/lib/rolecall"),
        ((ONE_FILE, rotation()), {}, "/var/lib/rolecall"),
        (((KEY, 'custodian = "tpm2"\ndirectory = "tpm"'), PUBLISHED), {}, "tpm"),
        ((PUBLISHED, rotation('state = "ring"')), {"STATE_DIRECTORY": "/var/lib/other"}, "ring"),
    ],
)
def test_the_ring_is_beside_keys_in_a_directory_or_where_the_agent_keeps_its_state(
    change: tuple[tuple[str, str], ...], environ: dict[str, str], state: str, read: Read, tmp_path: Path
) -> None:
    found = read(*change, **environ).rotation
    assert found is not None
    assert found.state == tmp_path / state


def test_no_key_is_made_automatically_where_we_make_none(read: Read) -> None:
    found = read(ONE_FILE, rotation('keep = "2d"')).rotation
    assert found is not None
    assert (found.automatic, found.keep) == (False, timedelta(days=2))


@pytest.mark.parametrize(
    ("next_one", "automatic"), [(TPM, False), (following('custodian = "tpm2"\ndirectory = "t"'), True)]
)
def test_the_place_to_move_to_decides_whether_keys_are_made(
    next_one: tuple[str, str],
    automatic: bool,  # noqa: FBT001 - a row
    read: Read,
) -> None:
    found = read(ONE_FILE, next_one, rotation('state = "ring"')).rotation
    assert found is not None
    assert found.automatic is automatic


def test_a_move_is_a_rotation_that_nobody_has_to_ask_for(read: Read) -> None:
    found = read(ONE_FILE, TPM)
    assert isinstance(found.next_key, Tpm2)
    assert found.rotation is not None
    assert found.rotation.state == Path("/var/lib/rolecall")


def test_a_move_leaves_the_ring_where_it_is(read: Read, mistakes: Mistakes, tmp_path: Path) -> None:
    """Or the keys that are on their way would be forgotten, and the first of the new place sign unseen."""
    (told,) = mistakes((KEY, KEY.replace("keys", "/srv/keys")), TPM)
    said = "is missing; the ring of keys has to stay where it is when [key.next] takes the place of [key]"
    assert told == f'rotation.state: {said}: write [rotation] with state = "/srv/keys"'
    before = read(TPM, rotation('state = "keys"')).rotation
    after = read((KEY, 'custodian = "tpm2"\nhandle = "0x81000042"'), rotation('state = "keys"')).rotation
    assert before is not None
    assert after is not None
    assert before.state == after.state == tmp_path / "keys"


def test_a_move_within_one_directory_leaves_the_ring_there_anyway(read: Read) -> None:
    assert read(following('custodian = "tpm2"\ndirectory = "keys"')).next_key is not None


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (KEY, 'custodian = "pem"\ndirectory = "keys"\npassphrase_file = "/pass"'),
        (LABEL, f'{LABEL}\nalgorithm = "RS384"'),
        ('custodian = "tpm2"\nhandle = "0x8100ab42"', 'custodian = "tpm2"\nhandle = "0x8100AB42"\nauth_file = "/a"'),
        *(
            (
                f'custodian = "aws_kms"\nkey_id = "alias/a"\nregion = "eu-central-1"\ncredentials = "{one}"',
                'custodian = "aws_kms"\nkey_id = "alias/a"\nregion = "eu-central-1"\ncredentials = "instance"',
            )
            for one in ("instance", "container")
        ),
        (
            f'{VAULT}\naddress = "https://v.example.com"\ntoken_file = "/t"',
            f'{VAULT}\naddress = "https://v.example.com/"\nmount = "transit/"\ntoken_file = "/u"',
        ),
    ],
)
def test_a_move_to_where_the_keys_are_is_none(now: str, then: str, mistakes: Mistakes) -> None:
    (told,) = mistakes((KEY, now), following(then))
    assert told == "key.next: names the keys that [key] names; write the place to move to, or take it out"


def test_a_next_key_that_is_wrong_by_itself_is_not_also_misjudged(mistakes: Mistakes) -> None:
    told = mistakes(ONE_FILE, following('custodian = "tpm2"\ndirectory = 1'), rotation("automatic = true"))
    assert told == ["key.next.directory: must be text in quotes, not a number"]


@pytest.mark.parametrize(
    ("max_age", "announce", "good"), [("12h", "24h", True), ("12h1s", "24h", False), ("1d", "48h", True)]
)
def test_a_key_is_announced_for_longer_than_copies_without_it_live(
    max_age: str,
    announce: str,
    good: bool,  # noqa: FBT001 - a row
    read: Read,
    mistakes: Mistakes,
) -> None:
    change = ("", f'{PUBLISHED[1]}max_age = "{max_age}"\n'), rotation(f'announce = "{announce}"')
    if good:
        assert read(*change).rotation is not None
    else:
        assert mistakes(*change)[0].startswith("rotation.announce: is 1d, but readers, and a cache before them, ")


def test_copies_do_not_matter_where_one_key_signs_for_good(read: Read) -> None:
    assert read(ONE_FILE, ("", f'{PUBLISHED[1]}max_age = "1d"\n')).rotation is None


@pytest.mark.parametrize("where", ["key", "key.next"])
def test_new_keys_are_of_a_kind_that_signs_as_is_asked(where: str, mistakes: Mistakes) -> None:
    algorithm = '\nalgorithm = "ES256"'
    here = (
        [(KEY, KEY + algorithm)] if where == "key" else [following(f'custodian = "tpm2"\ndirectory = "t"{algorithm}')]
    )
    told = mistakes(*here, rotation('kind = "rsa-2048"\nstate = "ring"'))
    assert told == [f'rotation.kind: "rsa-2048" cannot sign with ES256, which {where}.algorithm asks for']
