"""Wrong passwords are counted, so that nobody tries them out: of one account, and from one address.

Kept in this process's memory: several processes count each for itself, and a new one begins at zero.
"""

import asyncio
import ipaddress
import time
from collections import OrderedDict, deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from math import ceil

from billing.errors import InvalidCredentials
from resolvers.request_errors import Throttled

WINDOW_S = 60.0
# Of more names and addresses than these the longest quiet ones are forgotten.
_KEPT_MAX = 100_000
# Longer than any username: of what is longer only the beginning is kept.
_NAME_CHARS_MAX = 200
# Whoever has one IPv6 address has all of its network.
_IPV6_PREFIX = 64


@dataclass(slots=True)
class _Tries:
    """When wrong passwords came within the window, and how many tries are being checked."""

    wrong_at: deque[float] = field(default_factory=deque)
    pending: int = 0


class SignInThrottle:
    """One per process. ``clock`` answers seconds that only grow."""

    def __init__(
        self, *, account_max: int = 10, address_max: int = 100, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._account_max = account_max
        self._address_max = address_max
        self._clock = clock
        self._tries: OrderedDict[str, _Tries] = OrderedDict()
        self._checked = asyncio.Event()

    @asynccontextmanager
    async def one_try(self, username: str, address: str) -> AsyncIterator[None]:
        """The block checks one password. A try that ends in InvalidCredentials is a wrong one; a good one forgets the
        account's wrong ones. Tries at once wait where they could together be too many.

        Raises: Throttled, without running the block, after too many wrong ones within the last minute.
        """
        limits = {f"account {username[:_NAME_CHARS_MAX].lower()}": self._account_max}
        if address:
            limits[f"address {_network(address)}"] = self._address_max
        while not self._let_in(limits):
            await self._checked.wait()
        try:
            yield
        except InvalidCredentials:
            for key in limits:
                self._kept(key).wrong_at.append(self._clock())
            raise
        else:
            self._kept(next(iter(limits))).wrong_at.clear()
        finally:
            for key in limits:
                self._kept(key).pending -= 1
            self._checked.set()
            self._checked = asyncio.Event()

    def _let_in(self, limits: dict[str, int]) -> bool:
        """Whether the try may begin now, and is counted as pending. Raises: Throttled."""
        now = self._clock()
        for key, most in limits.items():
            wrong_at = self._kept(key).wrong_at
            while wrong_at and wrong_at[0] <= now - WINDOW_S:
                wrong_at.popleft()
            if len(wrong_at) >= most:
                raise Throttled("Too many wrong passwords", ceil(wrong_at[-most] + WINDOW_S - now))
        if any(len(self._kept(key).wrong_at) + self._kept(key).pending >= most for key, most in limits.items()):
            return False
        for key in limits:
            self._kept(key).pending += 1
        self._forget_the_quiet()
        return True

    def _kept(self, key: str) -> _Tries:
        tries = self._tries.setdefault(key, _Tries())
        self._tries.move_to_end(key)
        return tries

    def _forget_the_quiet(self) -> None:
        while len(self._tries) > _KEPT_MAX:
            key, tries = next(iter(self._tries.items()))
            if tries.pending:
                return
            del self._tries[key]


def _network(address: str) -> str:
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return address
    return str(ip) if ip.version == 4 else str(ipaddress.ip_network((ip, _IPV6_PREFIX), strict=False))
