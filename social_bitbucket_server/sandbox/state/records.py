"""The requests to the sandbox, for tests to count and look at."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import overload


@dataclass(frozen=True, slots=True)
class RequestRecord:
    """One request as it came in.

    *path* is the raw path with the context path, *query_string* what followed the question mark, *headers* by
    lower-case name, *oauth_parameters* the parameters that begin with ``oauth_``, from wherever they came, *form* the
    fields of the body.
    """

    method: str
    path: str
    query_string: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    oauth_parameters: Mapping[str, str] = field(repr=False)
    form: Mapping[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer as it went out, without anything secret: for the line that the command prints."""

    method: str
    path: str
    status: int
    user: str | None
    consumer_key: str | None


class Records(Sequence[RequestRecord]):
    """The latest requests, the oldest first. The sandbox's own switches and style sheet are not among them."""

    def __init__(self, limit: int = 1000) -> None:
        self._lock = threading.Lock()
        self._records: deque[RequestRecord] = deque(maxlen=limit)

    def add(self, record: RequestRecord) -> None:
        """Remember one more. If there are too many, forget the oldest."""
        with self._lock:
            self._records.append(record)

    def clear(self) -> None:
        """Forget all, to count from here."""
        with self._lock:
            self._records.clear()

    def to(self, path: str) -> list[RequestRecord]:
        """Return the requests whose path ends with *path*."""
        return [record for record in self if record.path.endswith(path)]

    @overload
    def __getitem__(self, index: int) -> RequestRecord: ...

    @overload
    def __getitem__(self, index: slice) -> list[RequestRecord]: ...

    def __getitem__(self, index: int | slice) -> RequestRecord | list[RequestRecord]:
        return list(self)[index]

    def __iter__(self) -> Iterator[RequestRecord]:
        with self._lock:
            return iter(list(self._records))

    def __len__(self) -> int:
        return len(self._records)
