"""Errors that a user can cause: each says what is wrong and what to do about it."""


class TaskscopeError(Exception):
    """A failure with a remedy, shown to the user as two short lines without a traceback."""

    exit_code = 1

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(cause)
        self.cause = cause
        self.remedy = remedy


class UsageError(TaskscopeError):
    """What was asked for cannot be done as asked: an unknown name, a bad value, a bad file."""

    exit_code = 2


class MissingServiceError(TaskscopeError):
    """A service that the run needs is absent, unreachable, or not what it should be."""

    exit_code = 3
