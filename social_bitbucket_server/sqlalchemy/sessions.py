"""The session that rows are saved through, and when it commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from sqlalchemy import Engine, Table, UniqueConstraint, event
from sqlalchemy.orm import Mapper, Session

_HOLDS_COMMITS = "social_bitbucket_server holds commits"


class StoredMixin:
    """A row that the application's session saves."""

    current_session: ClassVar[Callable[[], Session]]
    """Returns the session in use. A scoped session is such a function."""

    unique_columns: ClassVar[tuple[str, ...]] = ()
    """Columns whose values together no two rows may have, whatever ``__table_args__`` the class has."""

    if TYPE_CHECKING:

        def __init__(self, **columns: Any) -> None: ...

    def save(self) -> None:
        """Add the row and commit."""
        session = type(self).current_session()
        session.add(self)
        commit(session)


@event.listens_for(StoredMixin, "after_mapper_constructed", propagate=True)
def _keep_unique(mapper: Mapper[Any], mapped: type[StoredMixin]) -> None:
    """Add the unique constraint to the table of *mapped*, unless it has the same already."""
    table, names = mapper.local_table, mapped.unique_columns
    if not names or not isinstance(table, Table) or any(name not in mapper.columns for name in names):
        return
    columns = [mapper.columns[name] for name in names]
    constraints = (each for each in table.constraints if isinstance(each, UniqueConstraint))
    if all(set(constraint.columns) != set(columns) for constraint in constraints):
        table.append_constraint(UniqueConstraint(*columns, name=f"uq_{table.name}_{'_'.join(names)}"))


def commit(session: Session) -> None:
    """Commit *session*, or only flush it inside :func:`holding_commits`."""
    if holds_commits(session):
        session.flush()
    else:
        session.commit()


def holds_commits(session: Session) -> bool:
    """Return whether the code that runs is within :func:`holding_commits`."""
    return bool(session.info.get(_HOLDS_COMMITS))


@contextmanager
def holding_commits(session: Session, stored: type[StoredMixin], *, and_commit: bool = True) -> Iterator[None]:
    """Commit what happens inside as one transaction, or roll it back with the exception that leaves it.

    Rows that are read inside are those of now, in the database that *stored* is in. On MariaDB and MySQL the
    transaction has the isolation level READ COMMITTED for that. *and_commit*: false if the caller commits afterwards.
    """
    session.commit()  # a transaction that began before Bitbucket was asked may not see what changed since
    bind = session.get_bind(stored)
    # These two see nothing that others commit meanwhile, unless they are told to. The application began the transaction
    # of a connection that it bound the session to.
    if isinstance(bind, Engine) and bind.dialect.name in {"mariadb", "mysql"}:
        options = {"isolation_level": "READ COMMITTED"}
        session.connection(bind_arguments={"mapper": stored}, execution_options=options)
    session.info[_HOLDS_COMMITS] = True
    try:
        yield
        if and_commit:
            session.commit()
        else:
            session.flush()
    except BaseException:
        session.rollback()
        raise
    finally:
        session.info.pop(_HOLDS_COMMITS, None)
