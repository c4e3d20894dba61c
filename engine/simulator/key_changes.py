"""What the control side changes of a venue's key."""

from msgspec import Struct


class KeyChanges(Struct, frozen=True, forbid_unknown_fields=True):
    """Rights and bindings of a key; None leaves one as it is.

    Attributes:
        ip_bound: True binds it to this host, False to no address.
        ip_elsewhere: True binds it to an address that is not this host's.
        expired: True ends it.
    """

    trade_spot: bool | None = None
    trade_linear: bool | None = None
    read_only: bool | None = None
    withdraw: bool | None = None
    transfer: bool | None = None
    ip_bound: bool | None = None
    ip_elsewhere: bool | None = None
    expired: bool | None = None
