"""Which alerts are the same one again.

TradingView gives no delivery id, and sends again after a 5xx. A body that tells its own firing
(a time, or an IdempotencyKey) is the same alert for ever; any other only for a while, since an
equal text may be meant again tomorrow. That while is a bucket of BUCKET_S and its neighbours.

A field called `id` is no key: Pine's `{{strategy.order.id}}` is the same word at each entry.
"""

import hashlib
from datetime import datetime
from typing import NamedTuple

from guardian_receiver.alert import Alert

BUCKET_S = 30


class DedupKey(NamedTuple):
    """`key` is unique among stored alerts; an alert stored under one of `others` is the same.

    `digest` is what all of them share.
    """

    key: str
    digest: str
    others: tuple[str, ...] = ()


def dedup_key(alert: Alert, token_sha256: str, account: str, raw: bytes, now: datetime) -> DedupKey:
    """Of an alert for one account, sent by the bearer of one token."""
    if alert.idempotency_key is not None:
        digest = _digest(token_sha256, account, b"key", alert.idempotency_key.encode())
    else:
        digest = _digest(token_sha256, account, b"body", raw)
    if alert.is_timed:
        return DedupKey(digest, digest)
    bucket = int(now.timestamp()) // BUCKET_S
    # The later one too: another replica's clock may be ahead of ours.
    others = (f"{digest}:{bucket - 1}", f"{digest}:{bucket + 1}")
    return DedupKey(f"{digest}:{bucket}", digest, others)


def refused_key(token_sha256: str, raw: bytes, now: datetime) -> DedupKey:
    """Of a body that is refused: the same one, sent again and again, is stored once a bucket.

    It shares no key with an accepted alert, so a body that is refused today because its account
    is missing is carried out once the account is there.
    """
    digest = _digest(token_sha256, "", b"refused", raw)
    return DedupKey(f"{digest}:{int(now.timestamp()) // BUCKET_S}", digest)


def _digest(token_sha256: str, account: str, kind: bytes, content: bytes) -> str:
    head = f"{token_sha256}\n{account}\n".encode()
    return hashlib.sha256(b"%b%b\n%b" % (head, kind, content)).hexdigest()
