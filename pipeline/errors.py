"""What went wrong, named by what the queue should do about it.

    StageError
    ├── Transient     again later, perhaps after a stated delay; costs an attempt
    │   └── Ambiguous     what was sent may have taken effect: the ledger finds out first
    ├── Deferred      not before a stated moment (quota, budget); costs no attempt
    │   └── OutOfCredit   the vendor wants money first: pauses the vendor as a whole
    ├── Rejected      never again: the same input would fail the same way
    │   ├── Damaged       a stored file is not what was stored
    │   └── OverBudget    the video would cost more than one may
    ├── Waiting       a person must act first; costs no attempt
    └── LostClaim     another worker owns the work now: write nothing more

Anything else that escapes a stage is a bug: it is retried like `Transient`, with its traceback in
the log and its class in the step's error.
"""

from datetime import datetime

from pipeline.domain import ArtifactKind, Charge
from pipeline.hosting import AccountTrouble


class StageError(Exception):
    """A failure of known consequence; its message tells the operator what, where, what to do.

    Attributes:
        charges: what was charged on the way to the failure; it is booked with it.
        trouble: what it means for the account that was used; written with the failure.
    """

    def __init__(
        self,
        message: str,
        *,
        charges: tuple[Charge, ...] = (),
        trouble: AccountTrouble | None = None,
    ) -> None:
        super().__init__(message)
        self.charges = charges
        self.trouble = trouble


class Transient(StageError):
    """May succeed when repeated.

    Attributes:
        retry_after: seconds to wait at least, as stated by the refuser; None: the queue decides.
    """

    def __init__(
        self,
        message: str,
        *,
        retry_after: float | None = None,
        charges: tuple[Charge, ...] = (),
        trouble: AccountTrouble | None = None,
    ) -> None:
        super().__init__(message, charges=charges, trouble=trouble)
        self.retry_after = retry_after


class Ambiguous(Transient):
    """A call may have been done, and charged, without its answer reaching us.

    Attributes:
        answered: whether the vendor's side said that it is at an end; otherwise the call may still
            be under way there.
    """

    def __init__(
        self, message: str, *, answered: bool = False, retry_after: float | None = None
    ) -> None:
        super().__init__(message, retry_after=retry_after)
        self.answered = answered


class Deferred(StageError):
    """Cannot go on before `until` (an aware datetime); nothing is wrong with the work itself."""

    def __init__(
        self,
        message: str,
        *,
        until: datetime,
        charges: tuple[Charge, ...] = (),
        trouble: AccountTrouble | None = None,
    ) -> None:
        super().__init__(message, charges=charges, trouble=trouble)
        self.until = until


class OutOfCredit(Deferred):
    """The vendor does no work until somebody pays.

    Attributes:
        service: the vendor.
        remedy: what a person should do, as one sentence.
    """

    def __init__(
        self,
        message: str,
        *,
        until: datetime,
        service: str,
        remedy: str,
        charges: tuple[Charge, ...] = (),
    ) -> None:
        super().__init__(message, until=until, charges=charges)
        self.service = service
        self.remedy = remedy


class Rejected(StageError):
    """The same input would be refused again: the run fails with this message."""


class Damaged(Rejected):
    """A stored file has another content than it was stored with.

    Attributes:
        kind: what the file is.
    """

    def __init__(self, message: str, *, kind: ArtifactKind) -> None:
        super().__init__(message)
        self.kind = kind


class OverBudget(Rejected):
    """The next call does not fit into what a video may cost; what was paid for stays of use."""


class Waiting(StageError):
    """A person must approve or repair something before the run can go on."""


class LostClaim(StageError):
    """The step or the job belongs to another worker now; nothing may be written any more."""
