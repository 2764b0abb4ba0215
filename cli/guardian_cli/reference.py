"""The reference of the commands, made from their own help: `python -m guardian_cli.reference`.

Printed is docs/cli.md; a test holds the two together.
"""

import sys
from collections.abc import Iterator
from typing import Any

import typer

from guardian_cli.main import app

HEAD = """# The command line

Made from the commands' own help by `python -m guardian_cli.reference > docs/cli.md`.

Every command works on a running `guardian up` of this machine; with `GUARDIAN_DATABASE_URL`,
`GUARDIAN_GATEWAY_URL` and `GUARDIAN_GATEWAY_TOKEN` set, on a cluster's database and gateway. Every
listing takes `--json`: decimals are strings, times ISO 8601 in UTC, names stay as they are. Results
go to stdout, errors to stderr. Exit status: 0 done; 1 it did not work; 2 the command line, a
setting or an input is wrong; 130 interrupted. `guardian COMMAND --help` tells the same.
"""
COMMON = ("--home", "--json", "--help")
"""Told once, above; not again with every command."""


def reference() -> str:
    """The whole page."""
    sections = [_section(path, command) for path, command in _commands(typer.main.get_command(app))]
    return "\n".join([HEAD, *sections])


def _commands(group: Any, path: str = "guardian") -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        inner = f"{path} {name}"
        if hasattr(command, "commands"):
            yield from _commands(command, inner)
        else:
            yield inner, command


def _section(path: str, command: Any) -> str:
    arguments = [p for p in command.params if p.param_type_name == "argument"]
    options = [p for p in command.params if p.param_type_name == "option"]
    words = [path, *(_argument(argument) for argument in arguments)]
    lines = [f"## `{' '.join(words)}`", "", command.help, ""]
    lines += [f"- `{_argument(argument)}`: {argument.help}" for argument in arguments]
    lines += [_option(option) for option in options if not set(option.opts) & set(COMMON)]
    return "\n".join(lines).rstrip() + "\n"


def _argument(argument: Any) -> str:
    name: str = argument.metavar or argument.name.upper()
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _option(option: Any) -> str:
    names = ", ".join(option.opts)
    value = "" if option.is_flag else f" {option.metavar or option.name.upper()}"
    given = option.default
    shown = option.show_default and given not in (None, False)
    default = f" Default {given}." if shown else ""
    return f"- `{names}{value}`: {option.help}{default}"


if __name__ == "__main__":
    sys.stdout.write(reference())
