"""Who stops our workers waits longer than a worker may take to end its jobs or give them back."""

import configparser
import re
from pathlib import Path

from workers.queue.stopping import MARGIN_SECONDS, RELEASE_TIMEOUT_SECONDS
from workers.queue.worker import SHUTDOWN_GRACE_SECONDS

ROOT = Path(__file__).parents[3]
LONGEST_STOP_SECONDS = SHUTDOWN_GRACE_SECONDS + MARGIN_SECONDS + RELEASE_TIMEOUT_SECONDS
CLOSING_SECONDS = 10  # what a busy host may take to close what is open, and to exit


def test_supervisor_waits_for_the_longest_stop():
    configuration = configparser.ConfigParser(interpolation=None)
    configuration.read(ROOT / "deploy" / "supervisord.conf", encoding="utf-8")
    programs = [configuration[name] for name in configuration if name.startswith("program:")]
    assert programs
    for program in programs:
        assert program["stopsignal"] == "TERM", program.name
        waits = program.getint("stopwaitsecs")
        assert waits >= LONGEST_STOP_SECONDS + CLOSING_SECONDS, program.name


def test_compose_waits_for_the_longest_stop():
    compose = (ROOT / "docker-compose.yml").read_text(encoding="utf-8")
    minutes = [int(found) for found in re.findall(r"stop_grace_period: (\d+)m\n", compose)]
    assert len(minutes) == len(re.findall(r"command: \[worker,", compose)) > 0
    assert min(minutes) * 60 >= LONGEST_STOP_SECONDS + CLOSING_SECONDS
