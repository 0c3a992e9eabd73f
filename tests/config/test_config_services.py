"""The API's listener and the channels of notifications: half of one is a fault that names what is missing."""

from __future__ import annotations

import pytest

from farmctl.config.fault import ConfigFaultsError
from farmctl.config.load import parse

SITE = '[site]\nname = "demo"\nrated_kw = 100.0\n'


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ('[api]\nlisten = "127.0.0.1:9443"', "api.tls_cert", "never opened without TLS"),
        ('[[notify]]\nname = "a"\nkind = "webhook"', "notify[0].url", 'kind = "webhook" needs it'),
        ('[[notify]]\nname = "a"\nkind = "smtp"\nserver = "m:25"\nsender = "a@b"', "notify[0].recipients", "needs it"),
        ('[[notify]]\nname = "a"\nkind = "apprise"', "notify[0].urls_file", "needs it"),
        (
            '[[notify]]\nname = "a"\nkind = "webhook"\nurl = "http://x/"\n' * 2,
            "notify[1].name",
            '"a" is taken',
        ),
        ('[[notify]]\nname = "a"\nkind = "webhook"\nurl = "http://x/"\nquiet = "25:00-06:00"', "notify[0].quiet", ""),
    ],
)
def test_half_a_listener_or_channel_is_a_fault(text: str, key: str, expected: str) -> None:
    with pytest.raises(ConfigFaultsError) as caught:
        parse(SITE + text)
    faults = {fault.key: fault.expected for fault in caught.value.faults}
    assert key in faults, faults
    assert expected in faults[key]
