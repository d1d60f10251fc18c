"""No question to the database looks at all that was ever received, analysed or sent."""

import re
import sqlite3

import pytest

from dicom_node.store.statements import all_queries, named_queries, script_statements, sql_text
from dicom_node.store.store import MIGRATIONS

QUERIES = named_queries(all_queries())
#: Tables that grow with every study.
GROWING = {"instance", "study", "job", "result", "delivery", "event"}
#: Indices that hold only what is under way.
OF_WHAT_IS_PENDING = {"delivery_pending", "delivery_pending_for"}
#: Query -> tables it goes through on purpose: from an end and no further than its LIMIT, or every study, every ten
#: minutes or when a person wants it so.
ALLOWED = {
    "latest_at": {"event", "instance"},
    "newest_studies": {"study"},
}
_SCAN = re.compile(r"SCAN (\w+)(?: USING (?:COVERING )?INDEX (\w+))?")


@pytest.fixture(scope="module")
def database():
    """An empty database of the newest version."""
    connection = sqlite3.connect(":memory:")
    for migration in MIGRATIONS:
        for statement in script_statements(sql_text(migration)):
            connection.execute(statement)
    yield connection
    connection.close()


def scanned(database, query):
    """The tables that a statement goes through from end to end, under the names it gives them."""
    parameters = dict.fromkeys(re.findall(r":(\w+)", query))
    plan = [row[3] for row in database.execute(f"EXPLAIN QUERY PLAN {query}", parameters)]
    found = [match.groups() for step in plan if (match := _SCAN.match(step))]
    return {table for table, index in found if index not in OF_WHAT_IS_PENDING}


@pytest.mark.parametrize("name", QUERIES)
def test_no_query_goes_through_a_table_that_grows(database, name):
    """Every one finds its rows by an index, whatever there is besides."""
    aliases = set(re.findall(r"\bAS (\w+)", QUERIES[name]))
    assert scanned(database, QUERIES[name]) & (GROWING | aliases - {"known"}) <= ALLOWED.get(name, set())


def test_what_is_asked_of_one_study_is_found_by_its_uid(database):
    """The statement that tells whether every study may go tells it of one, too, and then finds the one."""
    [*plan] = database.execute(f"EXPLAIN QUERY PLAN {QUERIES['studies_done_with']}", {"only": None, "proving": "[]"})
    assert "(study_instance_uid>? AND study_instance_uid<?)" in plan[0][3]


def test_every_reference_to_a_row_can_be_followed_back(database):
    """SQLite looks for the children of a row that goes, and shows that in no plan: each reference has its index."""
    tables = [row[0] for row in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
    for table in tables:
        for reference in database.execute(f"PRAGMA foreign_key_list({table})").fetchall():
            column = reference[3]
            plan = database.execute(f"EXPLAIN QUERY PLAN SELECT 1 FROM {table} WHERE {column} = ?", (1,)).fetchall()
            assert plan[0][3].startswith("SEARCH"), f"{table}.{column} has no index"
