from pathlib import Path

import pytest

from agent.settings.mistakes import Wrong
from agent.settings.section import Surroundings
from agent.settings.templates import (
    caller_tag,
    claim_template,
    for_role,
    name_fault,
    run_together,
    value_fault,
    variables,
)

HERE = Surroundings(Path("/etc/rolecall"), None, {"HOST": "web-1"})


def test_the_host_is_filled_in_and_all_else_waits() -> None:
    assert caller_tag("${HOST}/${ROLE}/${UNIT}", HERE) == "web-1/${ROLE}/${UNIT}"


def test_the_role_is_filled_in_for_each() -> None:
    assert [for_role("${ROLE}-${UID}", role) for role in ("a", "b")] == ["a-${UID}", "b-${UID}"]


@pytest.mark.parametrize(
    ("template", "pair"),
    [
        (
            "${USER}-${USER_UNIT}",
            ("USER", "USER_UNIT"),
        ),  # a user "ann" with "x-y.service", a user "ann-x" with "y.service"
        ("${USER}${USER_UNIT}", ("USER", "USER_UNIT")),
        ("user:${USER}-unit-${USER_UNIT}:x", ("USER", "USER_UNIT")),
        ("${UID}${USER_UNIT}", ("UID", "USER_UNIT")),
        ("${UID}0${UNIT}", ("UID", "UNIT")),
        ("${AWS_PRINCIPAL}/${AWS_SESSION}", ("AWS_PRINCIPAL", "AWS_SESSION")),
        ("${UID}/${USER}.${CONTAINER}", ("USER", "CONTAINER")),
        ("${USER}/${USER_UNIT}", None),
        ("${USER}:${UNIT}", None),
        ("${UID}-${USER_UNIT}", None),
        ("${USER_UNIT}-${UID}", None),
        ("aws:${AWS_ACCOUNT}:${AWS_SESSION}", None),
        ("user:${USER}:x", None),
        ("plain", None),
    ],
)
def test_two_variables_that_names_run_together_in_are_found(template: str, pair: tuple[str, str] | None) -> None:
    assert run_together(template) == pair


def test_only_what_is_asked_of_callers_is_a_variable() -> None:
    assert variables(["${HOST}-${UNIT}", "${ROLE}${USER}${UNIT}", "x"]) == ["UNIT", "USER"]


@pytest.mark.parametrize(
    "template", ["$", "$$", "$UNIT", "${UNIT", "${}", "${unit}", "${HOST}$", "$${UNIT}", "${{UNIT}}"]
)
def test_what_might_be_meant_for_a_variable_is_one_or_refused(template: str) -> None:
    with pytest.raises(Wrong):
        caller_tag(template, HERE)


@pytest.mark.parametrize(
    ("template", "comes_to"),
    [
        ("${HOST}/${UNIT}", "web-1/${UNIT}"),
        ("$$", "$"),
        ("a$$b", "a$b"),
        ("$$$$", "$$"),
        ("${AWS_ACCOUNT}", "${AWS_ACCOUNT}"),
    ],
)
def test_a_text_of_a_token_may_have_a_dollar_and_waits_for_callers_of_any_kind(template: str, comes_to: str) -> None:
    assert claim_template(template, HERE) == comes_to


@pytest.mark.parametrize("template", ["$", "a$b", "$USER", "${ROLE}", "${user}", "$${USER}", "$$${", "${}"])
def test_what_might_be_meant_for_a_variable_of_a_token_is_one_or_refused(template: str) -> None:
    with pytest.raises(Wrong):
        claim_template(template, HERE)


@pytest.mark.parametrize("template", ["${AWS_PRINCIPAL}", "${AWS_ACCOUNT}"])
def test_of_roles_nothing_waits_for_callers_inside_aws(template: str) -> None:
    with pytest.raises(Wrong, match="unknown here"):
        caller_tag(template, HERE)


@pytest.mark.parametrize("name", ["ab", "${UNIT}", "${ROLE}", "x" * 64, "x" * 64 + "${UID}", "_+=,.@-"])
def test_names_that_aws_takes_have_no_fault(name: str) -> None:
    assert name_fault(name) == ""


@pytest.mark.parametrize("name", ["", "a", "x" * 65, "a b", "é${UNIT}", "x" * 65 + "${UNIT}", "a/${UNIT}"])
def test_names_that_aws_does_not_take_have_one(name: str) -> None:
    assert name_fault(name) != ""


def test_values_of_tags_may_be_empty_and_have_blanks() -> None:
    assert (value_fault(""), value_fault("a b/${UNIT}")) == ("", "")
    assert value_fault("${UNIT};") == (
        "the value of the tag has characters other than letters, digits, blanks and _ . : / = + - @"
    )
    assert value_fault("x" * 257) == "the value of the tag is longer than 256 characters"
