"""What became of a webhook after one try."""

from dataclasses import dataclass

from guardian_core.domain.alerts import WebhookStatus


@dataclass(frozen=True, slots=True)
class Done:
    """The webhook is over. `message` is for its owner."""

    status: WebhookStatus
    message: str


@dataclass(frozen=True, slots=True)
class Later:
    """Nothing may be believed now; the lane waits `delay_s` and the webhook is tried again."""

    delay_s: float
    message: str


Verdict = Done | Later


def processed(message: str) -> Done:
    return Done(WebhookStatus.PROCESSED, message)


def failed(message: str) -> Done:
    return Done(WebhookStatus.ERROR, message)
