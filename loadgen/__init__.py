"""The load generator: it dispatches tasks when the schedule says, and does nothing else.

`schedule` is arithmetic, `pacer` hands out due instants, and each framework's module sends. It
measures nothing itself: what it sent, when, and how late is in its telemetry.
"""
