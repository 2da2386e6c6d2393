"""Everything that an application keeps of its organizations' integrations, by subject."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import inspect, text

from ...integration import UnsafeConfigurationError
from ...organizations import Outbound, SealedKeys
from ...transport import Limits
from .events import Events
from .identities import Identities
from .integrations import Integrations
from .key_rotation import KeyRotation
from .logins import Logins
from .models import primary_key_of
from .moves import Moves
from .new_people import NewPeople
from .notices import Notices
from .part import Recorder
from .people import People
from .pruning import Pruning
from .ready_made import OrganizationModels
from .rechecks import Rechecks
from .resealing import Resealing
from .setup_links import SetupLinks
from .upgrade import Upgrade
from .ways_in import WaysIn


class Store:
    """Rows, locks and queries of one application. Methods commit what they change, unless their docstring says that the
    caller does.

    *keys* seals and opens secrets. *outbound* says which servers organizations may connect. *record* writes events
    down. *limits*: how long the servers of one organization may keep threads waiting; ``None`` for the default ones.
    *role_names* are those of the roles that organizations' admins may give. The other parameters are the application's
    own rules; without one, the first sentence about it holds:

    - *may_log_in(organization)*: Everybody may log in to every organization. It is called in each login and request.
    - *belongs_to(user, organization)*: Those belong to an organization who log in there.
    - *may_connect(user, organization)*: All who belong to an organization may connect a further account there.
    - *new_person(organization, details)* and *update_person(user, details, before)*: see :mod:`~.new_people`.
    - *name_of(user)*: see :mod:`~.new_people`, too.
    - *forget(users)*: The users stay when the only integration is deleted through which they log in.

    Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError` without *new_person* if users need
    values that no login gives.
    """

    def __init__(
        self,
        models: OrganizationModels,
        *,
        keys: SealedKeys,
        outbound: Outbound,
        record: Recorder,
        limits: Limits | None = None,
        role_names: Sequence[str] = (),
        may_log_in: Callable[[Any], bool] | None = None,
        belongs_to: Callable[[Any, Any], bool] | None = None,
        may_connect: Callable[[Any, Any], bool] | None = None,
        new_person: Callable[[Any, Mapping[str, Any]], Any] | None = None,
        update_person: Callable[[Any, Mapping[str, Any], str], None] | None = None,
        name_of: Callable[[Any], str] | None = None,
        forget: Callable[[Sequence[Any]], None] | None = None,
    ) -> None:
        people = NewPeople(models)
        if new_person is None:
            people.refuse_incomplete_users()
        self.models = models
        self.keys = keys
        self.outbound = outbound
        self.record = record
        self.limits = limits
        self.role_names = role_names
        self.may_log_in = may_log_in or (lambda _organization: True)
        self.belongs_to = belongs_to or (lambda user, organization: bool(self.identities.of(organization, user)))
        self.may_connect = may_connect or self.belongs_to
        self.new_person = new_person or people.new_person
        self.update_person = update_person or people.update_person
        self.name_of = name_of or people.name_of
        self.forget = forget or (lambda _users: None)
        self.integrations = Integrations(self)
        self.key_rotation = KeyRotation(self)
        self.upgrade = Upgrade(self)
        self.moves = Moves(self)
        self.identities = Identities(self)
        self.people = People(self)
        self.logins = Logins(self)
        self.ways_in = WaysIn(self)
        self.setup_links = SetupLinks(self)
        self.events = Events(self)
        self.notices = Notices(self)
        self.rechecks = Rechecks(self)
        self.resealing = Resealing(self)
        self.pruning = Pruning(self)

    def refuse_unsafe_database(self) -> None:
        """Check that rows go with the rows that they belong to. SQLite ignores foreign keys unless each connection asks
        for them, and gives the numbers of deleted rows to new ones.

        Raises :class:`~social_bitbucket_server.integration.UnsafeConfigurationError`.
        """
        session = self.models.session()
        if session.get_bind().dialect.name == "sqlite" and not session.scalar(text("PRAGMA foreign_keys")):
            raise UnsafeConfigurationError(
                "Call set_up_sqlite of social_bitbucket_server.sqlalchemy with the engine before it connects. "
                "Without foreign keys, a new user can get the Bitbucket account of a deleted one."
            )

    def key_of(self, row: Any) -> Any:
        """Return the primary key of *row*, one of the application's own, also if it was deleted meanwhile."""
        return inspect(row).identity[0]

    @property
    def user_key(self) -> Any:
        """The attribute of the application's users that is their primary key."""
        mapper: Any = inspect(self.models.user)
        return getattr(self.models.user, mapper.get_property_by_column(primary_key_of(self.models.user)).key)
