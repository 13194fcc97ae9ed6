"""The words of each mistake are in mistakes.toml; here, where the lines are, and that one mistake is not told twice."""

from collections.abc import Callable

import pytest

from agent.settings import Settings

Read = Callable[..., Settings]
Mistakes = Callable[..., list[str]]
TOKEN = 'token_file = "/etc/rolecall/tokens/backup"'
ARN = 'arn = "arn:aws:iam::123456789012:role/backup"'
SOURCE = 'source = "self_signed"'
POLICY = """policy = '{"Version": "2012-10-17", "Statement": []}'"""
ARNS = 'policy_arns = ["arn:aws:iam::aws:policy/ReadOnlyAccess"]'


def paths(told: list[str]) -> list[str]:
    return [line.split(":")[0] for line in told]


@pytest.mark.parametrize("overlap", ["1h", "60m"])
def test_one_token_file_may_stand_in_several_grants_with_one_overlap(overlap: str, read: Read) -> None:
    second = f'\n[[grants]]\nroles = ["backup"]\n{TOKEN}\ntoken_overlap = "{overlap}"\n'
    assert len(read(("", second)).grants) == 2


@pytest.mark.parametrize(("duration", "good"), [("15m", True), ("1h", True), ("61m", False)])
def test_a_grant_lasts_no_longer_than_its_role(duration: str, good: bool, read: Read, mistakes: Mistakes) -> None:  # noqa: FBT001 - a row
    change = (TOKEN, f'unit = "a.service"\nduration = "{duration}"')
    if good:
        assert read(change).grants[0].duration is not None
    else:
        assert paths(mistakes(change)) == ["grants#1.duration"]


@pytest.mark.parametrize("own", [POLICY, ARNS])
@pytest.mark.parametrize("theirs", [POLICY, ARNS])
def test_no_policy_of_a_grant_stands_beside_one_of_the_role(own: str, theirs: str, mistakes: Mistakes) -> None:
    """AWS allows what any session policy does, so that would be more, not less."""
    told = mistakes((TOKEN, f'unit = "a.service"\n{theirs}'), (ARN, f"{ARN}\n{own}"))
    assert paths(told) == [f"grants#1.{theirs.split(' ', maxsplit=1)[0]}"]


def test_a_grant_may_have_both_kinds_of_policy(read: Read) -> None:
    grant = read((TOKEN, f'unit = "a.service"\n{POLICY}\n{ARNS}')).grants[0]
    assert grant.session_policy is not None
    assert len(grant.policy_arns) == 1


def test_no_grant_changes_a_tag_whatever_its_capitals(mistakes: Mistakes) -> None:
    told = mistakes(
        (TOKEN, 'unit = "a.service"\ntags = { TEAM = "x", Role = "y", own = "z" }'),
        (SOURCE, 'tags = { team = "web" }'),
        (ARN, f'{ARN}\ntags = {{ role = "backup" }}'),
    )
    assert told == [
        "grants#1.tags.TEAM: is set by identity.tags.team already, which a grant cannot change; name it otherwise",
        "grants#1.tags.Role: is set by roles.backup.tags.role already, which a grant cannot change; name it otherwise",
    ]


def test_tags_of_grant_role_and_identity_are_50_at_most(mistakes: Mistakes, read: Read) -> None:
    def tags(letter: str, count: int) -> str:
        return "tags = { " + ", ".join(f'{letter}{n} = "v"' for n in range(count)) + " }"

    others = (SOURCE, tags("c", 20)), (ARN, f"{ARN}\n{tags('r', 20)}")
    told = mistakes(*others, (TOKEN, f'unit = "a.service"\n{tags("g", 11)}'))
    assert told == [
        (
            "grants#1.tags: comes to more than 50 tags with those of the role backup and of [identity]; "
            "AWS takes at most 50"
        )
    ]
    assert len(read(*others, (TOKEN, f'unit = "a.service"\n{tags("g", 10)}')).grants[0].tags) == 10


def test_what_does_not_fit_is_told_for_each_role_once(mistakes: Mistakes) -> None:
    web = ("", '\n[roles.web]\narn = "arn:aws:iam::210987654321:role/web"\nduration = "30m"\n')
    words = 'unit = "a.service"\nduration = "45m"\npolicy_arns = ["arn:aws:iam::123456789012:policy/mine"]'
    told = mistakes(web, ('roles = ["backup"]', 'roles = ["backup", "web"]'), (TOKEN, words))
    assert told == [
        "grants#1.duration: is longer than that of the role web, 30m; write 30m or less, or more there",
        "grants#1.policy_arns#1: is of account 123456789012; AWS takes only those of the role's, 210987654321",
    ]


def test_callers_whom_nothing_recognises_are_told_of_by_the_word(mistakes: Mistakes) -> None:
    off = ("", '\n[callers]\nrecognise = "off"\n')
    words = 'user = "a"\ngroup = "b"\nunit = "c.service"\nslice = "d.slice"\nexecutable = "/e"'
    assert paths(mistakes(off, (TOKEN, words))) == [
        f"grants#1.{word}" for word in ("user", "group", "unit", "slice", "executable")
    ]


def test_containers_and_tokens_do_not_need_the_kernel_s_word(read: Read) -> None:
    off = ("", '\n[callers]\nrecognise = "off"\n[containers]\nengine = "podman"\n[unit_tokens]\n')
    second = '\n[[grants]]\nroles = ["backup"]\nunit_token = "a.service"\n'
    assert len(read(off, (TOKEN, f'container = "web"{second}')).grants) == 2


def test_sections_that_are_wrong_by_themselves_are_not_also_called_missing(mistakes: Mistakes) -> None:
    further = ("", '\n[containers]\nengine = "x"\n[unit_tokens]\nrotate = "x"\n[callers]\nrecognise = "x"\n')
    second = '\n[[grants]]\nroles = ["backup"]\nunit_token = "a.service"\n'
    told = mistakes(further, (TOKEN, f'container = "web"\nexecutable = "/a"{second}'))
    assert sorted(paths(told)) == ["callers.recognise", "containers.engine", "unit_tokens.rotate"]
