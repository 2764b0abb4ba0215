"""Get-or-create and create-or-replace, safe when two do it at once, on both databases."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from sqlalchemy import CursorResult, Executable, inspect
from sqlalchemy.dialects import postgresql, sqlite

from guardian_core.ports import Tx
from guardian_core.storage.schema import Base


def insert_if_absent(tx: Tx, model: type[Base], values: Mapping[str, Any]) -> bool:
    """Inserts one row, or does nothing where a unique constraint already has it.

    On PostgreSQL it waits for another transaction that is just inserting the same. Returns
    whether the row is ours; if not, it is committed and a new SELECT sees it.
    """
    insert = _insert(tx, model)
    return changed_rows(tx, insert.values(values).on_conflict_do_nothing()) == 1


def put_rows(tx: Tx, model: type[Base], rows: Sequence[Mapping[str, Any]]) -> None:
    """Inserts rows, or replaces those that the primary key already has; no two with one key.

    Every row names the same columns.
    """
    if not rows:
        return
    keys = [column.name for column in inspect(model).primary_key]
    insert = _insert(tx, model).values(rows)
    new = {name: insert.excluded[name] for name in rows[0] if name not in keys}
    tx.execute(insert.on_conflict_do_update(index_elements=keys, set_=new))


def _insert(tx: Tx, model: type[Base]) -> postgresql.Insert | sqlite.Insert:
    postgres = tx.get_bind().dialect.name == "postgresql"
    return postgresql.insert(model) if postgres else sqlite.insert(model)


def changed_rows(tx: Tx, statement: Executable) -> int:
    """Executes an INSERT, UPDATE or DELETE; how many rows it touched."""
    return cast(CursorResult[Any], tx.execute(statement)).rowcount
