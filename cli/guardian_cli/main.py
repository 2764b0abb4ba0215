"""The `guardian` command: what there is to call, and what an error looks like to whoever called.

Exit status: 0 done; 1 it did not work (what was asked for is away, or was refused); 2 the command
line, a setting or an input is wrong; 130 interrupted.
"""

import sys
from asyncio import CancelledError
from collections.abc import Sequence
from typing import NoReturn

import typer

from guardian_cli import accounts, explain, paper, send, show, tokens, up
from guardian_cli.demo import command as demo
from guardian_core.domain.errors import CallerError, ConfigurationError, GuardianError

FAILED = 1
WRONG_INPUT = 2
INTERRUPTED = 130

app = typer.Typer(
    name="guardian",
    help="Turns trading alerts into positions, and keeps every open position under its stop-loss "
    "and take-profit.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["--help", "-h"]},
)

up.register(app)
show.register(app)
explain.register(app)
send.register(app)
tokens.register(app)
accounts.register(app)
paper.register(app)
demo.register(app)


@app.callback(invoke_without_command=True)
def guardian(
    version: bool = typer.Option(False, "--version", help="Print the version.", is_eager=True),
) -> None:
    if version:
        from importlib.metadata import version as installed

        typer.echo(f"position-guardian {installed('position-guardian')}")
        raise typer.Exit


def run(arguments: Sequence[str]) -> int:
    """Runs one command line and returns its exit status. Errors go to stderr."""
    try:
        status = app(args=list(arguments), prog_name="guardian", standalone_mode=False)
    except typer.Exit as end:
        return end.exit_code
    except typer.Abort:
        return INTERRUPTED
    except GuardianError as error:
        _complain(str(error))
        return WRONG_INPUT if isinstance(error, CallerError | ConfigurationError) else FAILED
    except (KeyboardInterrupt, CancelledError):
        return INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has enough of it (`guardian trades | head`).
        sys.stderr.close()
        return 0
    except Exception as error:
        shown = getattr(error, "format_message", None)
        if shown is None:
            raise
        _complain(shown())
        return WRONG_INPUT
    return status if isinstance(status, int) else 0


def main() -> NoReturn:
    sys.exit(run(sys.argv[1:]))


def _complain(message: str) -> None:
    sys.stderr.write(f"guardian: {message}\n")
