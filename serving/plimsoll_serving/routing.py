"""The route in force and this pod's role in it."""

import time
from collections.abc import Callable
from enum import StrEnum

from plimsoll_serving.arms import Split
from plimsoll_serving.http.message import Request
from plimsoll_serving.logs import LOGGER
from plimsoll_serving.route import Arm, Route


class Role(StrEnum):
    """Primary: delegates all but its share. Secondary: forwards to the primary. Standalone: no route names it."""

    PRIMARY = "primary"
    SECONDARY = "secondary"
    STANDALONE = "standalone"


class Routing:
    """Follows route documents whose epoch never falls, and decides whose a request is.

    Args:
        revision: of this pod.
        on_change: called with the new route after each change.
        uniform: gives a point of [0, 1).
        now: Unix seconds.
    """

    def __init__(
        self,
        revision: str,
        on_change: Callable[[Route], None],
        uniform: Callable[[], float],
        now: Callable[[], float] = time.time,
    ) -> None:
        self._revision = revision
        self._on_change = on_change
        self._uniform = uniform
        self._now = now
        self._split = Split(())
        self.route: Route | None = None
        self.role = Role.STANDALONE

    def apply(self, route: Route) -> bool:
        """Follow a route. False, and nothing changes, when its epoch is lower than the one in force."""
        if self.route is not None and route.epoch < self.route.epoch:
            LOGGER.warning("route of epoch %d ignored: epoch %d is in force", route.epoch, self.route.epoch)
            return False
        self.route = route
        self.role = self._role_in(route)
        self._split = Split(route.serving)
        self._on_change(route)
        LOGGER.info(
            "route of epoch %d in force",
            route.epoch,
            extra={
                "fields": {
                    "role": self.role.value,
                    "primary": route.primary,
                    "weights": {arm.revision: arm.weight for arm in route.arms},
                }
            },
        )
        return True

    def _role_in(self, route: Route) -> Role:
        if route.primary == self._revision:
            return Role.PRIMARY
        return Role.STANDALONE if route.arm(self._revision) is None else Role.SECONDARY

    @property
    def primary(self) -> Arm | None:
        """The arm to which a secondary forwards; None when this pod answers the public itself."""
        if self.route is None or self.role is not Role.SECONDARY:
            return None
        return self.route.arm(self.route.primary)

    @property
    def blind(self) -> bool:
        """Whether the route has not been renewed for so long that nothing but this pod's own model is trusted."""
        until = None if self.route is None else self.route.blind_after
        return until is not None and self._now() > until

    def choose(self, request: Request) -> Arm | None:
        """The arm of a request at the primary; None when no arm is chosen here."""
        route = self.route
        if route is None or self.role is not Role.PRIMARY:
            return None
        if self.blind:
            return route.arm(self._revision)
        value = None if route.sticky_header is None else request.header(route.sticky_header)
        return self._split.at(self._uniform() * 100 if value is None else self._split.point_of(value))
