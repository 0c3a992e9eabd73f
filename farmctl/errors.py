"""One root; four groups named by what the caller should do; leaves live beside the code that raises them."""

from __future__ import annotations


class FarmError(Exception):
    """Something went wrong in farmctl."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or (type(self).__doc__ or "").strip())


class TryAgainError(FarmError):
    """A passing fault: the same call may succeed at once."""


class BackOffError(FarmError):
    """The peer is unwell: leave it alone for a while, then try again."""


class AskHumanError(FarmError):
    """Only a person can mend this: configuration, credentials, a disk."""


class RefusedError(FarmError):
    """The peer or a rule said no: repeating the call changes nothing."""


class SilentPeerError(BackOffError):
    """The peer did not connect or answer before its deadline."""


class MalformedReplyError(TryAgainError):
    """The peer's reply could not be read as its protocol says."""


class CredentialError(AskHumanError):
    """The peer refused the user or the password."""


class ConfigError(AskHumanError):
    """The configuration has faults; all of them are listed."""


class StoreError(AskHumanError):
    """The store could not make a record durable."""
