"""The demo: a broker, a simulated farm, a meter and a dispatcher as child processes, and the real controller.

It starts simulators by command line, as a person would, and imports none of their code.
"""

from __future__ import annotations
