"""docs/cli.md says what the commands say of themselves, and the help says what there is."""

from enum import Enum
from pathlib import Path

import pytest

from guardian_cli.events import LABELS
from guardian_cli.reference import reference
from guardian_core.domain.alerts import AlertAction
from guardian_core.domain.orders import OrderStatus, Role
from guardian_core.logs import Point
from guardian_core.protocol import FaultKind
from tests.cli.conftest import Guardian

ROOT = Path(__file__).parents[2]


def test_the_page_is_current() -> None:
    shown = "run `python -m guardian_cli.reference > docs/cli.md`"
    assert (ROOT / "docs" / "cli.md").read_text() == reference(), shown


@pytest.mark.parametrize(
    ("words", "kind"),
    [
        (("paper", "fault"), FaultKind),
        (("paper", "fault"), Role),
        (("webhook", "send"), AlertAction),
        (("trades",), OrderStatus),
    ],
    ids=lambda value: getattr(value, "__name__", None) or " ".join(value),
)
def test_the_help_names_every_choice(
    offline: Guardian, words: tuple[str, ...], kind: type[Enum]
) -> None:
    printed = " ".join(offline.bare(*words, "--help").out.split())
    for member in kind:
        assert member.value in printed


def test_every_named_point_that_up_shows_has_a_label_and_the_rest_is_meant_to_be_silent() -> None:
    silent = {
        Point.RECEIVED,  # told with T6.2, once it is true
        Point.PUBLISHED,
        Point.POSITION_LOOKED_UP,
        Point.STATE_UPDATED,
        Point.PASS_VALIDATED,
    }
    assert {point for point in Point if point.value not in LABELS} == silent
