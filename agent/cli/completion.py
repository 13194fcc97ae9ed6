"""How does a shell know what may come next?"""

import argparse
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from agent.cli import VERBS, parser_of
from agent.cli.configuration import settings_of
from agent.errors import AgentError, ConfigurationError

HELP = "print what a shell needs to complete commands, options and roles"
EXAMPLE = """\
rolecall completion bash > /etc/bash_completion.d/rolecall
  rolecall completion zsh > /usr/share/zsh/site-functions/_rolecall
  rolecall completion fish > /etc/fish/completions/rolecall.fish
  source <(rolecall completion bash)                # for this shell alone"""

#: Each asks for the words that may come next, one a line; what stands on the line so far comes from standard input,
#: where nobody takes options out of it.
_BASH: Final = """\
# bash completion for rolecall
_rolecall() {
    local word
    COMPREPLY=()
    while IFS= read -r word; do
        COMPREPLY+=("$word")
    done < <(printf '%s\\n' "${COMP_WORDS[@]:1:COMP_CWORD}" | rolecall completion --words 2>/dev/null)
    if [[ ${COMPREPLY[0]} == "<file>" ]]; then
        COMPREPLY=()
        compopt -o default
    fi
}
complete -F _rolecall rolecall
"""
_ZSH: Final = """\
#compdef rolecall
# zsh completion for rolecall
_rolecall() {
    local -a found
    found=("${(@f)$(printf '%s\\n' "${(@)words[2,CURRENT]}" | rolecall completion --words 2>/dev/null)}")
    if [[ ${found[1]} == "<file>" ]]; then
        _files
    elif [[ -n ${found[1]} ]]; then
        compadd -- "${found[@]}"
    fi
}
if [[ ${funcstack[1]} == _rolecall ]]; then
    _rolecall "$@"
else
    compdef _rolecall rolecall
fi
"""
_FISH: Final = """\
# fish completion for rolecall
function __rolecall_words
    set -l line (commandline -opc) (commandline -ct)
    set -l found (printf '%s\\n' $line[2..-1] | rolecall completion --words 2>/dev/null)
    if test "$found[1]" = "<file>"
        __fish_complete_path (commandline -ct)
    else
        printf '%s\\n' $found
    end
end
complete -c rolecall -f -a '(__rolecall_words)'
"""
_SCRIPTS: Final = {"bash": _BASH, "zsh": _ZSH, "fish": _FISH}

#: What stands for any file; no word of ours is called so.
FILE: Final = "<file>"
#: What takes roles: arguments and options, by the names that the parsers have for them.
_OF_ROLES: Final = frozenset({"role", "roles"})
#: No command line is longer, in bytes (Linux, MAX_ARG_STRLEN).
_LONGEST: Final = 131_072


def configure(parser: argparse.ArgumentParser) -> None:
    """Take the shell; what shells ask by is for nobody else."""
    parser.add_argument("shell", nargs="?", choices=[*_SCRIPTS], help="which shell (default: that of $SHELL)")
    parser.add_argument("--words", action="store_true", help=argparse.SUPPRESS)


def run(arguments: argparse.Namespace) -> int:
    """Print a script, or what may come next on the line of standard input; 0. Raises ConfigurationError."""
    if arguments.words:
        for word in next_words(sys.stdin.read(_LONGEST).removesuffix("\n").split("\n")):
            print(word)
        return 0
    shell = arguments.shell or Path(os.environ.get("SHELL", "")).name
    if shell not in _SCRIPTS:
        raise ConfigurationError("which shell is it for?", hint=f"rolecall completion {' or '.join(_SCRIPTS)}")
    print(_SCRIPTS[shell], end="")
    return 0


def next_words(words: Sequence[str]) -> list[str]:
    """What may stand in the place of the last of these words, which is begun; all but the name of the program."""
    *before, begun = words
    config, before = _config(before)
    if not before:
        found = [*VERBS, "--help", "--version"]
    elif before[0] not in VERBS:
        return []
    else:
        found = [*_of_verb(before[0], before[1:], begun, config)]
    if found == [FILE]:
        return found
    return [word for word in found if word.startswith(begun) and (begun.startswith("-") or not word.startswith("-"))]


def _config(before: Sequence[str]) -> tuple[Path | None, list[str]]:
    """The configuration that is named before or behind the verb, and the words without one before it."""
    words, config = [*before], None
    for here, word in enumerate(before[:-1]):
        if word in {"-c", "--config"}:
            config = Path(before[here + 1])
    if words[:1] in (["-c"], ["--config"]) and len(words) > 1:
        words = words[2:]
    return config, words


def _of_verb(verb: str, before: Sequence[str], begun: str, config: Path | None) -> Iterator[str]:
    if "--" in before:
        yield FILE  # somebody else's command
        return
    parser, taken, waiting = parser_of(verb), 0, None
    for word in before:
        actions = parser._actions  # noqa: SLF001 - argparse knows, and has no other way to tell
        inside = next((one for one in actions if isinstance(one, argparse._SubParsersAction)), None)  # noqa: SLF001
        if waiting is not None:
            waiting = None
        elif word.startswith("-"):
            waiting = next((one for one in actions if word in one.option_strings and one.nargs != 0), None)
        elif inside is not None and word in inside.choices:
            parser, taken = inside.choices[word], 0
        else:
            taken += 1
    yield from _of_parser(parser, waiting, taken, begun, config)


def _of_parser(
    parser: argparse.ArgumentParser, waiting: argparse.Action | None, taken: int, begun: str, config: Path | None
) -> Iterator[str]:
    actions = [one for one in parser._actions if one.help != argparse.SUPPRESS]  # noqa: SLF001 - as above
    if waiting is not None:
        yield from _values(waiting, config)
    elif begun.startswith("-"):
        yield from (option for one in actions for option in one.option_strings if len(option) > 2)
    else:
        positional = [one for one in actions if not one.option_strings]
        last = positional[-1:] if positional and positional[-1].nargs in {"*", "+"} else []
        yield from (word for one in (positional[taken:] or last)[:1] for word in _values(one, config))


def _values(action: argparse.Action, config: Path | None) -> Iterator[str]:
    """What may stand for an argument, or behind an option."""
    if action.choices is not None:
        yield from map(str, action.choices)
    elif action.dest in _OF_ROLES:
        with suppress(AgentError):  # where there is no configuration to be read, nothing can be completed
            yield from settings_of(config).roles
    elif action.type is Path:
        yield FILE
