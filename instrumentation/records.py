"""What has more to tell than a row, and what pool children write: plain tuples, cheap to marshal.

Every record begins with its kind. All instants are Unix nanoseconds; 0 means "not known". An error
is `(type, message, stack)` or None. A carrier is what the message carried, unread (`propagation`).
"""

from typing import Final

#: (SENT, task, queue, task_id, traceparent, parent_span_id, scheduled, sent, accepted, error)
SENT: Final = 0
#: (STARTED, task, queue, started, pid, task_id, attempt)
STARTED: Final = 1
#: (DONE, task, queue, outcome, task_id, attempt, carrier, span_id, pid, received, started,
#:  completed, acked, error, counted): counted tells whether a STARTED was there before.
DONE: Final = 2
#: (ACKED, task_id, attempt, acked): the acknowledgement of a DONE whose acked is ACK_PENDING.
ACKED: Final = 3
#: (DROPPED, count): records that could not be handed over.
DROPPED: Final = 4
#: Like DONE, by the parent of the process `pid`: holds if that process did not say better itself.
LOST: Final = 5

#: In DONE's `acked`: another process or thread will acknowledge it and say so.
ACK_PENDING: Final = -1

SUCCESS: Final = "success"
FAILURE: Final = "failure"
RETRY: Final = "retry"
#: Taken back, or too late: its `started` is 0, unless it was stopped while it ran.
REVOKED: Final = "revoked"
EXPIRED: Final = "expired"

type Error = tuple[str, str, str]
type Record = tuple[int | str | Error | None, ...]
