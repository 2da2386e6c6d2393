"""Django's groups by the roles that people have at Bitbucket: a step of the pipeline, and a receiver for rechecks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import router, transaction
from django.db.models import QuerySet

from ..account import Recheck
from ..integration import BACKENDS
from ..login import LoginBackend, mapping_of
from ..problems import BitbucketServerError, Code
from .configuration import backend_of, setting


def sync_groups(
    backend: Any,
    response: dict[str, Any],
    user: Any = None,
    *args: Any,  # noqa: ARG001  # core's signature
    **kwargs: Any,  # noqa: ARG001  # core's signature
) -> None:
    """Add *user* to the groups that ``…_GROUPS_MAP`` has for their roles, and take them out of its other groups.

    Put it at the end of the pipeline. It does the same as ``social_core.pipeline.user.sync_groups``, but both OAuths
    may give one group. It does nothing for other backends.

    Raises the social error of ``setting_invalid`` for a mapping that cannot be used, such as one with a group that does
    not exist or that two integrations give.
    """
    if user is None or not isinstance(backend, LoginBackend):
        return
    with _of_setting(backend):
        _sync(backend, response, user)


def leave_groups(
    backend: Any,
    user: Any,
    *args: Any,  # noqa: ARG001  # core's signature
    **kwargs: Any,  # noqa: ARG001  # core's signature
) -> None:
    """Take *user* out of all groups that ``…_GROUPS_MAP`` has. The next login gives those that another account brings.

    Put it at the end of the pipeline for disconnecting, so that nobody keeps groups without the account that gave them.
    It does nothing for other backends.

    Raises the social error of ``setting_invalid``, as :func:`sync_groups` does.
    """
    if not isinstance(backend, LoginBackend):
        return
    with _of_setting(backend):
        mapping = _mapping(backend.setting("GROUPS_MAP", {}))
        if mapping:
            groups = _groups_of(user)
            groups.remove(*groups.filter(name__in={name for names in mapping.values() for name in names}))
            _forget_permissions(user)


def sync_rechecked_groups(identity: Any, recheck: Recheck, **_signal: Any) -> None:
    """Do what :func:`sync_groups` does with the roles that *recheck* found. If they are unknown, nothing changes.

    Connect it to :data:`~.rechecks.person_rechecked`. Raises ``setting_invalid``.
    """
    if recheck.roles is None:
        return
    integration_id = str(identity.extra_data.get("integration", ""))
    response = {"integration": integration_id, "roles": list(recheck.roles)}
    _sync(backend_of(identity.provider), response, identity.user)


def leave_groups_of(integration_id: str, identities: QuerySet[Any]) -> None:
    """Take the owners of *identities*, which are about to be deleted, out of the groups that ``…_GROUPS_MAP`` has for
    this integration. No login through it would do so any more."""
    mappings = [mapping_of(setting("GROUPS_MAP", {}, name), integration_id) for name in BACKENDS]
    # Those that cannot be used give no groups.
    lists = [names for mapping in mappings if isinstance(mapping, dict) for names in mapping.values()]
    names = {name for given in lists if isinstance(given, list) for name in given if isinstance(name, str)}
    fields = identities.model.user.field.related_model._meta.many_to_many
    groups = next((field for field in fields if field.name == "groups"), None)
    if not names or groups is None:
        return
    using = router.db_for_write(identities.model)
    owners = identities.using(using).values("user")
    members = groups.remote_field.through._base_manager.using(using)
    found = {f"{groups.m2m_field_name()}__in": owners, f"{groups.m2m_reverse_field_name()}__name__in": names}
    members.filter(**found).delete()


@contextmanager
def _of_setting(backend: LoginBackend[Any, Any]) -> Iterator[None]:
    """Raise a problem with the mapping as the social error that names the setting."""
    try:
        yield
    except BitbucketServerError as error:
        raise error.in_setting(backend.full_name("GROUPS_MAP")).as_social_error(backend, "pipeline") from None


def _sync(backend: LoginBackend[Any, Any], response: dict[str, Any], user: Any) -> None:
    mapping = _mapping(backend.get_group_setting("GROUPS_MAP", response, {}))
    managed = {name for names in mapping.values() for name in names}
    if not managed:
        return
    _refuse_shared_groups(backend)
    roles = backend.get_user_groups(response)
    if roles is None:
        raise _invalid("No role is configured that could give these groups.")
    wanted = {name for role in roles for name in mapping.get(role, ())}
    groups = _groups_of(user)
    using = router.db_for_write(groups.through, instance=user)
    with transaction.atomic(using=using):
        known = groups.model._default_manager.using(using).filter(name__in=managed)
        keys = dict(known.values_list("name", "pk"))
        missing = sorted(managed - keys.keys())
        if missing:
            raise _invalid(f"There is no group {missing[0]}.")
        present = set(groups.using(using).filter(name__in=managed).values_list("name", flat=True))
        groups.remove(*(keys[name] for name in present - wanted))
        groups.add(*(keys[name] for name in wanted - present))
    _forget_permissions(user)


def _groups_of(user: Any) -> Any:
    """Return the relation ``groups`` of *user*: to Django's groups, or to a project's own with unique names."""
    groups: Any = getattr(user, "groups", None)
    fields = groups.model._meta.get_fields() if hasattr(groups, "through") else ()
    if not any(field.name == "name" and getattr(field, "unique", False) for field in fields):
        raise _invalid("The users of this application are in no groups with unique names.")
    return groups


def _forget_permissions(user: Any) -> None:
    for cache in ("_perm_cache", "_group_perm_cache", "_user_perm_cache"):
        vars(user).pop(cache, None)


def _mapping(value: Any) -> Mapping[str, list[str]]:
    is_mapping = isinstance(value, dict) and all(
        isinstance(role, str) and isinstance(names, list) and all(isinstance(name, str) and name for name in names)
        for role, names in value.items()
    )
    if not is_mapping:
        raise _invalid("It is a mapping of roles to lists of the names of groups.")
    return value  # type: ignore[no-any-return]  # checked above


def _refuse_shared_groups(backend: LoginBackend[Any, Any]) -> None:
    """Raise ``setting_invalid`` if two integrations give one group: each login through the one would take away what
    the other gave."""
    owners: dict[str, str] = {}
    for integration_id, part in backend.get_group_mappings():
        for names in _mapping(part).values():
            for name in names:
                if owners.setdefault(name, integration_id) != integration_id:
                    raise _invalid(f"Two integrations give the group {name}.")


def _invalid(reason: str) -> BitbucketServerError:
    return BitbucketServerError(Code.SETTING_INVALID, reason, parameter="GROUPS_MAP")
