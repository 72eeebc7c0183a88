"""Names that others chose: of any type, and any number, where each would be a series."""

_MOST_NAMES = 100
_MOST_CHARACTERS = 200
UNKNOWN = "unknown"


def plain(name: object) -> str:
    """Return a name as what it is to labels and records: `str` itself, and no subclass of it."""
    if type(name) is str:
        return name
    return str.__str__(name) if isinstance(name, str) else str(name)


class Names:
    """Lets so many different names pass; all later ones are called "unknown"."""

    def __init__(self, most: int = _MOST_NAMES) -> None:
        self._most = most
        self._known: set[str] = set()

    def __call__(self, name: object) -> str:
        """Return a name that may be a label."""
        if not isinstance(name, str) or not 0 < len(name) <= _MOST_CHARACTERS:
            return UNKNOWN
        if name not in self._known:
            if len(self._known) >= self._most:
                return UNKNOWN
            self._known.add(name)
        return name
