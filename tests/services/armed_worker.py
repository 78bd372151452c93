"""`ytempire`, as shipped, with faults armed by this very entry point.

python -m tests.services.armed_worker '[{"stage": "voice", "point": "after_send",
    "action": "exit"}]' FIRED_FILE worker --until-idle
"""

import json
import sys
from pathlib import Path

from tests.services.faults import Fault, arm_faults
from workers.cli import main


def run(faults: str, fired: str, *arguments: str) -> None:
    """Arm the faults and be the command."""
    arm_faults([Fault(**fault) for fault in json.loads(faults)], fired=Path(fired))
    sys.argv = ["ytempire", *arguments]
    main()


if __name__ == "__main__":
    run(*sys.argv[1:])
