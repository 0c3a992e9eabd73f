"""Completion in the shells themselves: what `farmctl completion SHELL` prints is sourced and asked."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
ASK = {
    "bash": "source <(farmctl completion bash); COMP_WORDS=(farmctl mi); COMP_CWORD=1; _farmctl_completion farmctl;"
    ' printf "%s\\n" "${COMPREPLY[@]}"',
    "zsh": "autoload -Uz compinit; compinit -u -D; source <(farmctl completion zsh);"
    " [[ $_comps[farmctl] == _farmctl_* ]] &&"
    ' COMP_WORDS="farmctl mi" COMP_CWORD=1 _FARMCTL_COMPLETE=zsh_complete farmctl',
    "fish": "farmctl completion fish | source; complete -C 'farmctl mi'",
}


@pytest.mark.parametrize("shell", sorted(ASK))
def test_a_shell_completes_a_verb(shell: str, tmp_path: Path) -> None:
    program = shutil.which(shell)
    if program is None:
        pytest.skip(f"{shell} is not here")
    where = {**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    words = [program, *(["-f"] if shell == "zsh" else []), "-c", ASK[shell]]
    said = subprocess.run(words, env=where, capture_output=True, text=True, timeout=60, check=False)
    assert "miners" in said.stdout.split(), said.stderr
