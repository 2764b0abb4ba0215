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
    LegsMode.INDEPENDENT: "two reduce-only orders, side by side",
    LegsMode.PAIR: "one pair: when one acts or ends, so does the other",
    LegsMode.STOP_ONLY: "the stop-loss; the guardian itself watches the take-profit",
}


def table() -> str:
    columns = {name: _column(facts, _adapter(name, facts)) for name, facts in EXCHANGES.items()}
    lines = [f"| | {' | '.join(f'`{name}`' for name in columns)} |\n"]
    lines.append("|---" * (len(columns) + 1) + "|\n")
    for what in next(iter(columns.values())):
        lines.append(f"| {what} | {' | '.join(column[what] for column in columns.values())} |\n")
    lines.append("\nRefused, each for its reason:\n\n")
    lines += [f"- `{name}`: {why}.\n" for name, why in REFUSED.items()]
    return "".join(lines)


def _column(facts: VenueFacts, adapter: Venue) -> dict[str, str]:
    can = adapter.capabilities()
    return {
        "What it is": facts.title,
        "Market": facts.market.value,
        "Stop-loss and take-profit": LEGS[can.legs],
        "A changed level": _replacing(can),
        "What is held": "told by the exchange"
        if can.reports_positions
        else "counted from our fills",
        "Trigger price": " or ".join(basis.value for basis in facts.trigger_bases),
        "A new order may be missing from its lists for": f"{can.visibility_delay_s:g} s",
        "What moves is told": "at once, by an order stream"
        if isinstance(adapter, Streaming)
        else "no: the next look finds it",
        "Environments": ", ".join(environment.value for environment in facts.environments),
        "Calls a second, at most": f"{facts.rate.per_second:g}, {facts.rate.capacity:g} at once",
        "A look at rest costs": facts.poll,
    }


def _replacing(can: Capabilities) -> str:
    if can.amend:
        return "amended in place"
    if can.create_then_cancel:
        return "the new order works before the old one is cancelled"
    return "the old orders are cancelled, then the new ones sent; the gap is measured"


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
