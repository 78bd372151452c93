import re

from alembic.config import Config
from alembic.script import ScriptDirectory

from db.revisions import head_revision, migrations_directory

NAME = re.compile(r"\d{8}_\d{6}_[a-z0-9_]+\.py")


def scripts() -> ScriptDirectory:
    config = Config()
    config.set_main_option("script_location", str(migrations_directory()))
    config.set_main_option("path_separator", "os")
    return ScriptDirectory.from_config(config)


def test_revisions_are_one_line_in_the_order_of_their_file_names() -> None:
    files = sorted(path.name for path in (migrations_directory() / "versions").glob("[!_]*.py"))
    assert all(NAME.fullmatch(name) for name in files)
    in_order = [script.revision for script in scripts().walk_revisions()][::-1]
    assert in_order == [name[:15] for name in files]
    assert head_revision() == in_order[-1]
