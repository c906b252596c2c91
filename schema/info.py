"""Strawberry's `Info` with the project's context type."""

from typing import Any

import strawberry

from resolvers.context import RequestContext

Info = strawberry.Info[RequestContext, Any]
