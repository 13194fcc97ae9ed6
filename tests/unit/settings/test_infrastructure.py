from collections.abc import Callable
from pathlib import Path

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]


def test_without_the_section_nothing_is_kept_current(read: Read) -> None:
    assert read().infrastructure is None


def test_the_directory_starts_at_the_configuration_and_roles_take_tokens_without_a_list(
    read: Read, tmp_path: Path
) -> None:
    found = read(("", '\n[infrastructure]\ndirectory = "aws"\n')).infrastructure
    assert found is not None
    assert (found.directory, found.require_pinning) == (tmp_path / "aws", False)


def test_policies_without_tokens_that_fit_them_are_a_mistake(mistakes: Mistakes) -> None:
    words = '\n[infrastructure]\ndirectory = "."\nrequire_pinning = true\n'
    said = mistakes(("[identity]", "[identity]\npin_roles = false"), ("", words))
    assert said == [
        "infrastructure.require_pinning: cannot be true while identity.pin_roles is false: no token would be taken"
    ]


def test_the_section_says_where(mistakes: Mistakes) -> None:
    assert mistakes(("", "\n[infrastructure]\n")) == [
        'infrastructure.directory: is missing; for example directory = "."'
    ]
