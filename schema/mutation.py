"""The one way to write a mutation: gate, work, and every `Refusal` turned into the payload's `errors`."""

import functools
import inspect
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypeVar

import strawberry

from billing.errors import Refusal
from resolvers.access import Scope, require_not_blocked
from schema.errors import UserError
from schema.info import Info

Payload = TypeVar("Payload")
InputType = TypeVar("InputType")

# `input: Input[LoginInput]`: the one argument of every mutation, described.
Input = Annotated[InputType, strawberry.argument(description="Everything the mutation needs.")]


def errors_field() -> Any:
    """The `errors` of a payload: ``errors: list[UserError] = errors_field()``. All other fields need defaults."""
    return strawberry.field(default_factory=list, description="What the caller can mend; empty where all went well.")


def mutation(
    *, description: str, scope: Scope | None = Scope.MANAGE, blocked_viewer: bool = False
) -> Callable[[Callable[..., Awaitable[Payload]]], Any]:
    """A mutation field from ``async def name(self, info, input) -> Payload``.

    ``scope`` is what the viewer's token must carry; None lets anybody in (`login`). A blocked viewer is refused
    unless ``blocked_viewer``. A `Refusal` becomes a payload with nothing but ``errors``; afterwards everything the
    request had loaded is forgotten, so that the payload shows the state after the change.
    """

    def decorate(resolve: Callable[..., Awaitable[Payload]]) -> Any:
        payload_type = inspect.get_annotations(resolve)["return"]

        @functools.wraps(resolve)
        async def run(self: Any, info: Info, **arguments: Any) -> Payload:
            try:
                if scope is not None:
                    viewer = info.context.require_viewer(scope)
                    if not blocked_viewer:
                        require_not_blocked(viewer)
                return await resolve(self, info, **arguments)
            except Refusal as refusal:
                refused: Payload = payload_type(errors=[UserError.of(refusal)])
                return refused
            finally:
                info.context.loaders.forget()

        return strawberry.mutation(run, description=description)

    return decorate
