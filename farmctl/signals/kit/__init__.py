"""A dispatcher's kit: say something to a site as its grid operator, watch what it answers, and certify it.

Made for people at the other end of the contract; a running controller imports none of it.
"""

from __future__ import annotations

from farmctl.signals.kit.console import Console
from farmctl.signals.kit.link import BrokerAddress
from farmctl.signals.kit.voice import Wish

__all__ = ["BrokerAddress", "Console", "Wish"]
