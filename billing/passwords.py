"""Password hashes (Argon2id), worked out in a thread so that the event loop goes on serving."""

import asyncio
import secrets

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from billing.errors import InvalidInput, PasswordTooShort

PASSWORD_LENGTH_MAX = 1000


class Passwords:
    """Hashes and checks passwords at one cost. ``memory_kib`` of memory and ``rounds`` passes for each."""

    def __init__(self, *, rounds: int = 3, memory_kib: int = 64 * 1024, lanes: int = 1) -> None:
        self._hasher = PasswordHasher(time_cost=rounds, memory_cost=memory_kib, parallelism=lanes)
        # Four hashes at once are 256 MiB; a burst of sign-ins waits its turn instead of taking all the memory.
        self._turns = asyncio.Semaphore(4)
        self._hash_of_nobody: str | None = None

    async def hash(self, password: str) -> str:
        """The hash to store, with its cost and salt inside."""
        async with self._turns:
            return await asyncio.to_thread(self._hasher.hash, password)

    async def matches(self, password: str, stored_hash: str | None) -> bool:
        """Whether the password is the one behind ``stored_hash``.

        With None (no such account) it takes as long and answers False, so that the time tells nobody which
        usernames there are.
        """
        if stored_hash is None:
            if self._hash_of_nobody is None:
                self._hash_of_nobody = await self.hash(secrets.token_urlsafe())
            await self._verify(password, self._hash_of_nobody)
            return False
        return await self._verify(password, stored_hash)

    async def _verify(self, password: str, stored_hash: str) -> bool:
        async with self._turns:
            try:
                return await asyncio.to_thread(self._hasher.verify, stored_hash, password)
            except (VerificationError, InvalidHashError):
                return False


def check_password(password: str, *, length_min: int, path: tuple[str, ...] = ("password",)) -> None:
    """Raises: PasswordTooShort below ``length_min`` characters, InvalidInput beyond what anybody types."""
    if len(password) < length_min:
        raise PasswordTooShort(length_min, path=path)
    if len(password) > PASSWORD_LENGTH_MAX:
        raise InvalidInput(f"A password has at most {PASSWORD_LENGTH_MAX} characters.", path=path)
