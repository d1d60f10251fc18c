"""One SQLite file: connection, transactions, migrations, and SQLite's errors told as StoreError; it knows no table.

Any number of threads may share a Database: one connection behind a lock, since SQLite lets one writer in at a time
anyway, and its own queue sleeps and is unfair. Any number of processes may open the same file, each its own Database:
a change takes the write lock before it reads, so nobody overtakes what it has read. A Database does not survive a fork.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from dicom_node.domain.errors import DamagedDatabase, StoreError
from dicom_node.files import alone_in
from dicom_node.store.statements import script_statements

Row = sqlite3.Row
Value = str | int | float | None

#: How long a change waits for another process to finish its own.
_PATIENCE_S = 30.0
_RESTORE = (
    "stop the node and run dicom-node rebuild, which moves the file aside and records anew what is in the spool, "
    "or restore a backup"
)
_PERMIT = "let the node's user write to the file and its folder"
#: Primary result code of SQLite -> what a person can do.
_REMEDIES = {
    sqlite3.SQLITE_BUSY: "another process holds it; see which one does not finish",
    sqlite3.SQLITE_FULL: "make room on its disk",
    sqlite3.SQLITE_CANTOPEN: "see that its folder exists and the node's user may write there",
    sqlite3.SQLITE_READONLY: _PERMIT,
    sqlite3.SQLITE_PERM: _PERMIT,
    sqlite3.SQLITE_IOERR: "check its disk",
    sqlite3.SQLITE_CORRUPT: _RESTORE,
    sqlite3.SQLITE_NOTADB: _RESTORE,
}
_DAMAGED = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_UNFORESEEN = "this is a fault of the node; report it with its log"


class Database:
    """An open database, whose statements have names. Every method raises StoreError when SQLite refuses."""

    def __init__(self, connection: sqlite3.Connection, path: Path, queries: Mapping[str, str]) -> None:
        self._connection = connection
        self._path = path
        self._queries = queries
        self._lock = threading.RLock()

    @classmethod
    def open(cls, path: Path, queries: Mapping[str, str], migrations: Sequence[str]) -> Database:
        """Open the file at `path`, made if need be, and run the `migrations` (scripts) it has not seen, in order."""
        with _explained(path):
            connection = sqlite3.connect(path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False)
            database = cls(connection, path, queries)
            try:
                # SQLite does not wait, but fails, when two processes begin a write-ahead log at once
                with alone_in(path.parent):
                    database._set_up()
                    database._migrate(migrations)
            except (sqlite3.Error, StoreError):
                connection.close()
                raise
        return database

    def close(self) -> None:
        """Close the connection; what was changed is on disk already."""
        with self._lock, _explained(self._path):
            self._connection.close()

    def check(self) -> None:
        """Raises DamagedDatabase when the file is not a sound database.

        It reads the whole file. What has no redundancy, a digit in a text say, is not noticed.
        """
        with self._lock, _explained(self._path):
            [(first,)] = self._connection.execute("PRAGMA quick_check(1)")
        if first != "ok":
            raise DamagedDatabase(f"{self._path} is damaged; {_RESTORE}")

    def run(self, query: str, **values: Value) -> list[Row]:
        """The rows that the named query returns; inside `change` or `snapshot` a part of that."""
        with self._lock, _explained(self._path):
            return self._connection.execute(self._queries[query], values).fetchall()

    @contextmanager
    def change(self) -> Iterator[None]:
        """What runs inside happens as a whole, and is on disk at the end; or not at all, when it raises."""
        with self._transaction("BEGIN IMMEDIATE"):
            yield

    @contextmanager
    def snapshot(self) -> Iterator[None]:
        """What runs inside reads one and the same state, whatever others write meanwhile."""
        with self._transaction("BEGIN"):
            yield

    @contextmanager
    def _transaction(self, begin: str) -> Iterator[None]:
        with self._lock, _explained(self._path):
            self._connection.execute(begin)
            try:
                yield
                self._connection.execute("COMMIT")
            finally:
                if self._connection.in_transaction:
                    self._connection.execute("ROLLBACK")

    def _set_up(self) -> None:
        self._connection.row_factory = Row
        [(mode,)] = self._connection.execute("PRAGMA journal_mode = WAL")
        if mode != "wal":
            raise StoreError(f"{self._path} cannot have a write-ahead log; keep it on a local disk, not on a share")
        # FULL: a power cut loses nothing that was committed; in WAL mode the default may lose the last commits
        self._connection.execute("PRAGMA synchronous = FULL")
        self._connection.execute("PRAGMA foreign_keys = ON")
        # what is deleted is overwritten: a forgotten study must not be found in the file's free pages
        self._connection.execute("PRAGMA secure_delete = ON")

    def _migrate(self, migrations: Sequence[str]) -> None:
        with self.change():
            [(version,)] = self._connection.execute("PRAGMA user_version")
            if version > len(migrations):
                raise StoreError(
                    f"{self._path} is of version {version}, made by a newer node; this one knows {len(migrations)}. "
                    "Install the newer node again, or restore the backup made before it"
                )
            for script in migrations[version:]:
                for statement in script_statements(script):
                    self._connection.execute(statement)
            self._connection.execute(f"PRAGMA user_version = {len(migrations)}")


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    """The one place where SQLite's errors become ours."""
    try:
        yield
    except sqlite3.Error as error:
        primary = getattr(error, "sqlite_errorcode", 0) & 0xFF
        told = f"{path}: {error}; {_REMEDIES.get(primary, _UNFORESEEN)}"
        raise (DamagedDatabase(told) if primary in _DAMAGED else StoreError(told)) from error
