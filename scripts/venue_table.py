"""Writes the table of docs/venues.md from the adapters' own capabilities; --check only compares.

The table stands between two marks in the page; everything else there is written by hand.
"""

import sys
from pathlib import Path

from guardian_core.accounts import AccountSpec
from guardian_core.clock import SystemClock
from guardian_core.domain.snapshot import Capabilities, LegsMode
from guardian_gateway.venues.catalogue import EXCHANGES, REFUSED, VenueFacts
from guardian_gateway.venues.exchange.keys import KeyFolder
from guardian_gateway.venues.factory import make_exchange
from guardian_gateway.venues.port import Streaming, Venue

PAGE = Path(__file__).parent.parent / "docs" / "venues.md"
BEGIN = "<!-- Written by `scripts/venue_table.py` from the adapters: change them, not this. -->\n"
END = "<!-- End of what is written by `scripts/venue_table.py`. -->\n"

LEGS = {
    LegsMode.INDEPENDENT: "side by side",
    LegsMode.PAIR: "pair",
    LegsMode.STOP_ONLY: "stop, watched",
}

LEGEND = (
    "*Legs*. Side by side: two reduce-only orders. Pair: when one acts or ends, so does the other."
    " Stop, watched: the stop-loss is on the exchange; the guardian itself watches the take-profit,"
    " and says so (`takeProfit: Watched`).",
    "*A changed level*. New first: the new order works before the old one is cancelled. Old first:"
    " coins are locked, so the old order goes before the new one comes; the gap is measured.",
    "*Held*. What is held: told by the exchange, or counted from our fills.",
    "*Shown after*: for so long a new order may be missing from the exchange's lists.",
    "*Stream*: whether what moves is told at once, or found by the next look.",
    "*Calls*: a second, at most, and at once.",
)


def table() -> str:
    rows = {name: _row(facts, _adapter(name, facts)) for name, facts in EXCHANGES.items()}
    heads = ["Venue", *next(iter(rows.values()))]
    lines = [f"| {' | '.join(heads)} |\n", "|---" * len(heads) + "|\n"]
    lines += [f"| `{name}` | {' | '.join(row.values())} |\n" for name, row in rows.items()]
    lines.append("\n" + "".join(f"- {line}\n" for line in LEGEND))
    lines.append("\nA look at an account at rest costs:\n\n")
    lines += [f"- `{name}`: {facts.poll}.\n" for name, facts in EXCHANGES.items()]
    lines.append("\nRefused, each for its reason:\n\n")
    lines += [f"- `{name}`: {why}.\n" for name, why in REFUSED.items()]
    return "".join(lines)


def _row(facts: VenueFacts, adapter: Venue) -> dict[str, str]:
    can = adapter.capabilities()
    return {
        "What it is": facts.title,
        "Market": facts.market.value,
        "Legs": LEGS[can.legs],
        "A changed level": _replacing(can),
        "Held": "told" if can.reports_positions else "counted",
        "Trigger price": " or ".join(basis.value for basis in facts.trigger_bases),
        "Shown after": f"{can.visibility_delay_s:g} s",
        "Stream": "yes" if isinstance(adapter, Streaming) else "no",
        "Environments": ", ".join(environment.value for environment in facts.environments),
        "Calls": f"{facts.rate.per_second:g}, {facts.rate.capacity:g}",
    }


def _replacing(can: Capabilities) -> str:
    if can.amend:
        return "amended"
    return "new first" if can.create_then_cancel else "old first"


def _adapter(name: str, facts: VenueFacts) -> Venue:
    spec = AccountSpec(account_id="x", venue=name, environment=facts.environments[0])
    return make_exchange("x", spec, KeyFolder(Path("nowhere")), SystemClock())


def with_table(page: str) -> str:
    before, _, rest = page.partition(BEGIN)
    _, mark, after = rest.partition(END)
    if not mark:
        sys.exit(f"{PAGE.name} has lost the marks between which its table stands")
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


def main() -> None:
    page = PAGE.read_text("utf-8")
    if "--check" not in sys.argv:
        PAGE.write_text(with_table(page), "utf-8")
    elif page != with_table(page):
        sys.exit("docs/venues.md is stale: run scripts/venue_table.py")


if __name__ == "__main__":
    main()
