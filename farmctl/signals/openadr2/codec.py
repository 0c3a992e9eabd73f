"""2.0b messages to XML and back, by openleadr's schema and templates; imported when the first message is made."""

from __future__ import annotations

import importlib
import uuid
from dataclasses import dataclass
from typing import Any

from farmctl.errors import ConfigError, MalformedReplyError
from farmctl.signals.openadr2.config import Certificates, OpenAdr2Config

MOST_BYTES = 2**20
Payload = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """One message as it was read."""

    kind: str
    """Such as oadrDistributeEvent."""
    body: Payload


class Codec:
    """Writes, signs, reads and checks messages.  Raises ConfigError where the extra `openadr2` is not installed."""

    def __init__(self, config: OpenAdr2Config) -> None:
        try:
            self._messaging = importlib.import_module("openleadr.messaging")
        except ImportError as error:
            raise ConfigError(
                f"grid source {config.name!r}: OpenADR 2.0b needs the extra openadr2 (pip install farmctl[openadr2])"
            ) from error
        self._fingerprint = config.vtn_fingerprint
        self._identity = _identity(config.certificates)

    def write(self, kind: str, **payload: Any) -> bytes:
        """The XML of a message, signed where the site has a certificate."""
        text: str = self._messaging.create_message(kind, **self._identity, **payload)
        return text.encode()

    def read(self, raw: bytes) -> Message:
        """A message that fits the schema and, where the VTN's fingerprint is known, bears its signature.

        Raises MalformedReplyError.
        """
        if len(raw) > MOST_BYTES or b"<!DOCTYPE" in raw:
            raise MalformedReplyError(f"OpenADR 2.0b: {len(raw)} bytes or a DOCTYPE, expected a plain message")
        try:
            tree = self._messaging.validate_xml_schema(raw)
            if self._fingerprint is not None:
                self._messaging.validate_xml_signature(tree, cert_fingerprint=self._fingerprint)
            kind, body = self._messaging.parse_message(raw)
        except Exception as error:  # openleadr, lxml and signxml raise what they please
            raise MalformedReplyError(f"OpenADR 2.0b: {type(error).__name__}: {str(error)[:200]}") from error
        if not isinstance(body, dict):
            raise MalformedReplyError(f"OpenADR 2.0b: {kind} without members")
        return Message(kind=str(kind), body=body)


def request_id() -> str:
    """A new requestID."""
    return str(uuid.uuid4())


def _identity(certificates: Certificates | None) -> dict[str, bytes]:
    if certificates is None:
        return {}
    return {"cert": certificates.certificate.read_bytes(), "key": certificates.key.read_bytes()}
