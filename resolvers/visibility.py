"""What a viewer may see, said in SQL: the same rules as `resolvers.access`, for statements that cannot ask it."""

from typing import Any, NamedTuple

from sqlalchemy import BigInteger, ColumnElement, Integer, LargeBinary, bindparam, exists, literal, or_, text

from billing import tokens
from models.tables import Token
from resolvers.access import Viewer


class SqlViewer(NamedTuple):
    """The viewer in a statement: its account and how many accounts its path has, itself included."""

    account_id: ColumnElement[int]
    depth: ColumnElement[int]

    @classmethod
    def of(cls, viewer: Viewer) -> "SqlViewer":
        """This viewer, in a statement that is made for it alone."""
        return cls(literal(viewer.account_id, BigInteger), literal(len(viewer.path), Integer))


# In a statement that is kept for every viewer; `viewer_values` binds it.
ANY_VIEWER = SqlViewer(bindparam("viewer_id", type_=BigInteger), bindparam("viewer_depth", type_=Integer))


_TOKEN: ColumnElement[bytes] = bindparam("viewer_token", type_=LargeBinary)

# Whether the token by which the viewer is remembered is still good. Without one the viewer has just been looked up.
STILL_GOOD = or_(_TOKEN.is_(None), exists().where(Token.secret_digest == _TOKEN, text(tokens.GOOD)))


def viewer_values(viewer: Viewer, token_digest: bytes | None) -> dict[str, Any]:
    """The values of the parameters of `ANY_VIEWER` and `STILL_GOOD`."""
    return {"viewer_id": viewer.account_id, "viewer_depth": len(viewer.path), "viewer_token": token_digest}


def sees(viewer: SqlViewer, path: Any) -> ColumnElement[bool]:
    """`resolvers.access.may_see`: whether the account at the end of ``path`` is the viewer or below it."""
    seen: ColumnElement[bool] = path[viewer.depth] == viewer.account_id
    return seen
