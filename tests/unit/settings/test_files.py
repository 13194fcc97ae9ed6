from collections.abc import Callable
from pathlib import Path

import pytest

from agent.settings import CredentialsFile, Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
WORDS = '\n[[files]]\nkind = "credentials"\npath = "x/credentials"\nrole = "backup"\nprofile = "rolecall"\n'
TOKEN = '\n[[files]]\nkind = "web_identity_token"\npath = "/run/x/token"\nrole = "backup"\n'


def test_a_file_is_for_its_owner_alone_unless_a_group_is_named(read: Read, tmp_path: Path) -> None:
    (file,) = read(("", WORDS)).files
    assert isinstance(file, CredentialsFile)
    assert (file.path, file.role, file.profile) == (tmp_path / "x/credentials", "backup", "rolecall")
    assert (file.group, file.mode, file.permissions) == (None, None, 0o600)


@pytest.mark.parametrize("table", [WORDS, TOKEN])
@pytest.mark.parametrize(
    ("words", "permissions"),
    [
        ('group = "backup"', 0o640), ('group = "100"', 0o640), ('group = "backup"\nmode = "0600"', 0o600),
        ('mode = "640"', 0o640), ('mode = "0400"', 0o400), ('group = "a"\nmode = "0440"', 0o440),
    ],
)  # fmt: skip
def test_more_is_for_those_who_are_named(table: str, words: str, permissions: int, read: Read) -> None:
    assert read(("", table + words + "\n")).files[0].permissions == permissions


@pytest.mark.parametrize(
    "mode", ["0644", "0604", "0660", "0700", "0200", "0040", "4600", "0o600", "-600", "600 ", "0000", "60", "u=rw"]
)
def test_no_other_mode_is_taken(mode: str, mistakes: Mistakes) -> None:
    (told,) = mistakes(("", f'{WORDS}mode = "{mode}"\n'))
    assert told.startswith("files#1.mode: ")


@pytest.mark.parametrize("profile", ["a", "team-a.prod", "A_1", "a@b", "x" * 64])
def test_profiles_are_called_as_people_call_them(profile: str, read: Read) -> None:
    file = read(("", WORDS.replace('"rolecall"', f'"{profile}"'))).files[0]
    assert isinstance(file, CredentialsFile)
    assert file.profile == profile


@pytest.mark.parametrize("profile", ["", "default", "a b", "a]", "[a", "a#b", "a;b", "a=b", "é", "x" * 65, "a\\nb"])
def test_profiles_that_a_file_cannot_have_are_refused(profile: str, mistakes: Mistakes) -> None:
    (told,) = mistakes(("", WORDS.replace('"rolecall"', f'"{profile}"')))
    assert told.startswith("files#1.profile: ")
