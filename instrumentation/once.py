"""What goes wrong over and over again is said once."""

from collections.abc import Callable


class Once:
    """Logs the first time, by a logger's method, and no more."""

    def __init__(self, log: Callable[..., None]) -> None:
        self._log = log
        self._said = False

    def __call__(self, message: str, *arguments: object) -> None:
        """Log the message, unless another one was logged before."""
        if not self._said:
            self._said = True
            self._log(message, *arguments)
