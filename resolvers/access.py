"""The one gate: who is asking, and may they see or act on that account?

A viewer sees itself and everything below it. Anything else does not exist for it: the answer is null or NOT_FOUND,
never "not allowed", so that nobody learns which accounts there are.
"""

from dataclasses import dataclass

from billing.errors import AccountBlocked, NotAllowed, NotFound
from billing.tokens import Scope
from resolvers.request_errors import Forbidden, Unauthenticated

__all__ = ["Forbidden", "Scope", "Unauthenticated", "Viewer"]

AccountPath = tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Whose token the request carries.

    ``path`` runs from the operator down to the viewer. ``blocked_by`` is the topmost blocked account on it, which
    may be above the viewer and then must not be shown. ``token_id`` is None where nobody signed in by a token
    (the command line).
    """

    account_id: int
    username: str
    path: AccountPath
    is_reseller: bool
    scopes: frozenset[Scope]
    token_id: int | None
    blocked_by: int | None = None

    @property
    def is_operator(self) -> bool:
        """The account at the top of the tree."""
        return len(self.path) == 1


def require_viewer(viewer: Viewer | None, scope: Scope | None = Scope.READ) -> Viewer:
    """The viewer, signed in and with the scope, if one is named. Raises: Unauthenticated, Forbidden."""
    if viewer is None:
        raise Unauthenticated
    if scope is not None and scope not in viewer.scopes:
        raise Forbidden(f"This token does not carry the scope {scope.value}.")
    return viewer


def require_not_blocked(viewer: Viewer) -> None:
    """Raises: AccountBlocked where the viewer, or an account above it, is blocked. Reading needs no such check."""
    if viewer.blocked_by is not None:
        raise AccountBlocked("Your account is blocked: you can read, but change nothing.", account_id=viewer.account_id)


def may_see(viewer: Viewer, path: AccountPath) -> bool:
    """Whether the account at the end of ``path`` is the viewer or below it."""
    depth = len(viewer.path)
    return len(path) >= depth and path[depth - 1] == viewer.account_id


def visible_path(viewer: Viewer, path: AccountPath) -> AccountPath:
    """The part of ``path`` that the viewer may see: from itself down. Empty where it may see none of it."""
    return path[len(viewer.path) - 1 :] if may_see(viewer, path) else ()


def require_visible(viewer: Viewer, path: AccountPath | None, *, field: tuple[str, ...] = ("accountId",)) -> None:
    """Raises: NotFound where the account is none (``path`` is None) or outside the viewer's subtree."""
    if path is None or not may_see(viewer, path):
        raise NotFound("There is no such account.", path=field)


def require_manages(viewer: Viewer, path: AccountPath | None, *, field: tuple[str, ...] = ("accountId",)) -> None:
    """For credit, limit, rate list, details, reseller mark: a reseller's direct customers, the operator's every one.

    Raises: NotFound outside the subtree; NotAllowed for the viewer itself and for customers of its resellers.
    """
    require_visible(viewer, path, field=field)
    assert path is not None
    if path[-1] == viewer.account_id:
        raise NotAllowed("Only your reseller can change this.", path=field, account_id=path[-1])
    if not viewer.is_operator and path[-2] != viewer.account_id:
        raise NotAllowed("Only this account's own reseller can change this.", path=field, account_id=path[-1])


def require_operator(viewer: Viewer, to_do: str, *, field: tuple[str, ...] = ()) -> None:
    """For what changes the money of whole paths, the viewer's own and everybody's above it. Raises: NotAllowed."""
    if not viewer.is_operator:
        raise NotAllowed(f"Only the operator may {to_do}.", path=field)


def require_below(viewer: Viewer, path: AccountPath | None, *, field: tuple[str, ...] = ("accountId",)) -> None:
    """For blocking: anyone below the viewer, at any depth, never itself. Raises: NotFound, NotAllowed."""
    require_visible(viewer, path, field=field)
    assert path is not None
    if path[-1] == viewer.account_id:
        raise NotAllowed("Nobody can do this to its own account.", path=field, account_id=path[-1])
