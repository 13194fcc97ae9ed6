"""Does the shell pass on just what was meant?"""

import json
import subprocess

import pytest

from agent.infrastructure.relying_parties.shell import Own, command, here, script, words
from tests.unit.infrastructure.relying_parties.side import TRAP


def run(text: str, **environment: str) -> str:
    done = subprocess.run(
        ["sh"], input=text, env={"PATH": "/usr/bin:/bin", **environment}, capture_output=True, text=True, check=True
    )
    return done.stdout


@pytest.mark.parametrize("word", [TRAP, "$X", '"$X"', "", "-n x", "a\tb", "~", "*"])
def test_a_word_is_passed_on_as_it_is(word: str) -> None:
    assert run(f"printf %s {words(word)}", X="no") == word


def test_only_what_is_the_shells_own_is_replaced() -> None:
    assert run(script(["why"], [command(["printf", "%s"], [Own("$X-$Y")])]), X="a b", Y="*") == "a b-*"


def test_a_here_document_is_the_very_json_but_for_what_is_the_shells_own() -> None:
    value: dict[str, object] = {"subject": TRAP, "several": [TRAP, "$X"], "own": Own("$X")}
    assert json.loads(run(f"cat {here(value)}", X="a,b")) == {"subject": TRAP, "several": [TRAP, "$X"], "own": "a,b"}


def test_a_script_ends_at_the_first_command_that_fails() -> None:
    assert run(script(["why", "", "and how"], ["false || true", "printf before"])) == "before"
    with pytest.raises(subprocess.CalledProcessError):
        run(script([], ["false", "printf after"]))
