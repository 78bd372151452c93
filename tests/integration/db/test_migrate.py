from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from db import migrate
from db.revisions import MigrationError, head_revision

CATALOGUE = """
SELECT 'relation', c.oid::regclass::text || ' ' || c.relkind::text,
       coalesce(array_to_string(c.reloptions, ','), '') || coalesce(obj_description(c.oid), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname IN ('public', 'queue', 'analytics')
UNION ALL
SELECT 'column', a.attrelid::regclass::text || '.' || a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum))
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE n.nspname IN ('public', 'queue', 'analytics') AND a.attnum > 0 AND NOT a.attisdropped
UNION ALL
SELECT 'constraint', conrelid::regclass::text || '.' || conname, pg_get_constraintdef(k.oid)
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
WHERE n.nspname IN ('public', 'queue', 'analytics')
UNION ALL
SELECT 'index', schemaname || '.' || indexname, indexdef FROM pg_indexes
WHERE schemaname IN ('public', 'queue', 'analytics')
UNION ALL
SELECT 'trigger', tgrelid::regclass::text || '.' || tgname, pg_get_triggerdef(t.oid)
FROM pg_trigger t WHERE NOT tgisinternal
UNION ALL
SELECT 'function', p.oid::regprocedure::text, pg_get_functiondef(p.oid)
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE n.nspname IN ('public', 'queue', 'analytics')
ORDER BY 1, 2, 3
"""


def catalogue(url: str) -> list[tuple[str, ...]]:
    with psycopg.connect(url) as connection:
        return connection.execute(CATALOGUE).fetchall()


def schemas(url: str) -> set[str]:
    with psycopg.connect(url) as connection:
        rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname !~ '^pg_'")
        return {name for (name,) in rows}


def test_upgrade_applies_every_revision_once(empty_database_url: str) -> None:
    before = migrate.status(empty_database_url)
    assert before.current is None
    assert before.pending[-1] == before.head == head_revision()

    applied = migrate.upgrade(empty_database_url)

    assert tuple(applied) == before.pending
    assert migrate.upgrade(empty_database_url) == []
    after = migrate.status(empty_database_url)
    assert (after.current, after.pending) == (after.head, ())


def test_down_to_base_and_up_again_gives_the_same_schema(empty_database_url: str) -> None:
    empty = catalogue(empty_database_url), schemas(empty_database_url)
    applied = migrate.upgrade(empty_database_url)
    first = catalogue(empty_database_url)

    assert migrate.downgrade(empty_database_url, "base") == applied[::-1]
    with psycopg.connect(empty_database_url) as connection:
        connection.execute("DROP TABLE alembic_version")
    assert (catalogue(empty_database_url), schemas(empty_database_url)) == empty

    migrate.upgrade(empty_database_url)
    assert catalogue(empty_database_url) == first


def test_every_revision_goes_down_and_up_on_its_own(empty_database_url: str) -> None:
    applied = migrate.upgrade(empty_database_url)
    for target in reversed(["base", *applied[:-1]]):
        assert len(migrate.downgrade(empty_database_url, target)) == 1
    assert migrate.upgrade(empty_database_url) == applied


def test_two_migrators_at_once_apply_each_revision_once(empty_database_url: str) -> None:
    with ThreadPoolExecutor(4) as threads:
        applied = list(threads.map(migrate.upgrade, [empty_database_url] * 4))
    assert sorted(map(len, applied)) == [0, 0, 0, len(max(applied, key=len))]
    assert migrate.status(empty_database_url).pending == ()


def test_database_of_a_newer_version_is_refused_with_its_revision(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '20990101_000000'")
    with pytest.raises(MigrationError, match=r"20990101_000000.*newer version"):
        migrate.status(database_url)
    with pytest.raises(MigrationError, match=r"20990101_000000.*newer version"):
        migrate.upgrade(database_url)


def test_fresh_database_has_the_operator_and_the_line(database_url: str) -> None:
    with psycopg.connect(database_url) as connection:
        assert connection.execute("SELECT username, role FROM users").fetchall() == [
            ("operator", "super_admin")
        ]
        assert connection.execute(
            "SELECT name, workflow_type, trigger_type, is_active FROM automation_workflows"
        ).fetchall() == [("line", "content_generation", "manual", True)]
