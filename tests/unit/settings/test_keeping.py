"""The words of each mistake are in mistakes.toml; here, what is none."""

from collections.abc import Callable

from agent.settings import CredentialsFile, Settings, WebIdentityTokenFile

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def kept(profile: str, more: str = "", path: str = "credentials") -> str:
    words = f'kind = "credentials"\npath = "{path}"\nrole = "backup"\nprofile = "{profile}"'
    return f"\n[[files]]\n{words}\n{more}\n"


def test_several_profiles_may_be_in_one_file(read: Read) -> None:
    files = read(("", kept("a") + kept("b") + kept("a", path="other"))).files
    assert [file.profile for file in files if isinstance(file, CredentialsFile)] == ["a", "b", "a"]


def test_one_mode_may_be_written_or_come_of_the_group(read: Read) -> None:
    assert len(read(("", kept("a", 'group = "x"') + kept("b", 'group = "x"\nmode = "0640"'))).files) == 2


def test_one_file_is_one_file_however_it_is_spelt(mistakes: Mistakes) -> None:
    told = mistakes(("", kept("a") + kept("a", path="./x/../credentials")))
    assert told == ["files#2.profile: is that of files#1, in the same file; give it another name"]


def test_a_token_may_be_in_a_file_of_its_own(read: Read) -> None:
    words = '\n[[files]]\nkind = "web_identity_token"\npath = "token"\nrole = "backup"\n'
    assert [type(file) for file in read(("", kept("a") + words)).files] == [CredentialsFile, WebIdentityTokenFile]
