"""How the demo looks on a terminal: a progress bar, the timeline above it, the table at the end."""

from collections.abc import Callable

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.text import Text

from guardian_cli.demo.result import DayResult
from guardian_cli.demo.timeline import Entry, Timeline
from guardian_cli.output import shown, table

MARKS = {None: ("·", "dim"), True: ("✓", "green"), False: ("✗", "bold red")}


class Screen:
    """`quiet`: for --json, which shows nothing on the way."""

    def __init__(self, console: Console, bars: int, *, quiet: bool) -> None:
        self._console = console
        self._quiet = quiet
        self._chapter = ""
        self._progress = Progress(
            TextColumn("{task.fields[candle]} UTC"),
            BarColumn(bar_width=None),
            TextColumn("{task.completed:.0f}/{task.total:.0f} bars"),
            console=console,
            disable=quiet or not console.is_terminal,
            transient=True,
        )
        self._task = self._progress.add_task("day", total=bars, candle="00:00")

    def __enter__(self) -> "Screen":
        self._progress.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._progress.stop()

    def say(self, text: str) -> None:
        if not self._quiet:
            self._console.print(text)

    def move(self, completed: int, candle: str) -> None:
        self._progress.update(self._task, completed=completed, candle=candle)

    def show(self, entry: Entry) -> None:
        if self._quiet:
            return
        if entry.chapter != self._chapter:
            self._chapter = entry.chapter
            self._console.print(Text(f"\n{entry.chapter}", style="bold"))
        self._console.print(entry_line(entry))


def entry_line(entry: Entry) -> Text:
    """`09:31  +12.3 s  ✓ what happened  trace  repaired in 2.1 s`."""
    mark, style = MARKS[entry.held]
    line = Text(f"{entry.candle} {entry.at_seconds:6.1f} s  ", style="dim")
    line.append(f"{mark} ", style=style)
    line.append(shown(entry.text), style="" if entry.held is not False else style)
    if entry.repaired_seconds is not None:
        line.append(f", after {entry.repaired_seconds:.1f} s", style="bold")
    if entry.trace_id is not None:
        line.append(f"  {entry.trace_id[:12]}", style="dim")
    return line


def result_view(day: DayResult) -> Callable[[Console], None]:
    """Prints the table of positions, and their sum."""
    view = table(
        *("SIDE", "QTY", "ENTRY", "EXIT", "REPAIRS", "PNL AVERAGE", "PNL FIFO"),
        right=("QTY", "ENTRY", "EXIT", "REPAIRS", "PNL AVERAGE", "PNL FIFO"),
    )
    for p in day.positions:
        prices = (p.side, p.quantity, p.entry_price, p.exit_price)
        view.add_row(*map(shown, (*prices, p.repairs, p.pnl_average, p.pnl_fifo)))
    view.add_row(*[""] * 5, shown(day.total_pnl), "", style="bold")

    def show(console: Console) -> None:
        console.print(Text("\nThe day, in USDT", style="bold"))
        console.print(view)

    return show


def verdict(timeline: Timeline) -> str:
    failed = len(timeline.failures)
    if failed:
        return f"\n{failed} of {timeline.expectations} expectations did not hold."
    longest = max((e.repaired_seconds or 0.0 for e in timeline.entries), default=0.0)
    return (
        f"\nAll {timeline.expectations} expectations held; the longest repair took {longest:.1f} s."
    )
