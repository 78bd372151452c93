"""What is known of migrations without loading Alembic, which takes half a second."""

from pathlib import Path

import migrations


class MigrationError(Exception):
    """The database could not be brought to the wanted revision; the message says why.

    What was applied before the failing revision stays applied; the failing one left nothing.
    """


def migrations_directory() -> Path:
    return Path(migrations.__path__[0])


def head_revision() -> str:
    """The newest revision of this code, read from the file names (a test checks them)."""
    names = (path.name for path in migrations_directory().joinpath("versions").glob("2*_*.py"))
    return max(names)[:15]
