"""Signs for a process that is not to have the key."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from osbuild_core.exports.compose.errors import ComposeError
from osbuild_core.exports.compose.signing import Signer
from osbuild_core.server.settings import ServerSettings


def signed(settings: ServerSettings, how: str, text: str) -> dict[str, Any]:
    """Return the answer to a process that wants ``text`` signed: see task_protocol.py for ``how``, and for that."""
    mine = settings.composes
    try:
        if mine.signing_key is None:
            raise ComposeError("there is no key", code="compose.sign")
        signer = Signer(mine.signing_key, mine.gnupg_home)
        if how == "key":
            return {"signed": signer.public_key()}
        with tempfile.TemporaryDirectory(prefix="compose-sign-") as folder:
            source, target = Path(folder, "text"), Path(folder, "signed")
            source.write_text(text)
            (signer.clear if how == "clear" else signer.detached)(source, target)
            return {"signed": target.read_text()}
    except (ComposeError, OSError) as error:
        return {"signed": None, "reason": str(error)}
