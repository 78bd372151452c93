"""`ytempire`, as shipped, with faults armed by this very entry point.

python -m tests.services.armed_worker '[{"stage": "voice", "point": "after_send",
    "action": "exit"}]' FIRED_FILE worker --until-idle
"""

import json
import sys
from pathlib import Path

from db.pool import SESSION
from tests.services.faults import Fault, arm_faults
from workers.cli import main


def run(faults: str, fired: str, *arguments: str) -> None:
    """Arm the faults and be the command."""
    # A worker that is stopped within a transaction is waited for; nothing here is idle for so long.
    SESSION["idle_in_transaction_session_timeout"] = "5s"
    arm_faults([Fault(**fault) for fault in json.loads(faults)], fired=Path(fired))
    sys.argv = ["ytempire", *arguments]
    main()


if __name__ == "__main__":
    run(*sys.argv[1:])
