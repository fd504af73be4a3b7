"""The table `[console]`: where the console is served, and who may see it."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from gaugecast.config.addresses import is_this_machine
from gaugecast.config.broker import plain_host
from gaugecast.config.table import Table


class Console(Table):
    """The console: a page that shows what the daemon does, and the API behind it. Needs the extra `console`."""

    enabled: bool = Field(default=False, description="whether `gaugecast run` starts it, as a process of its own")
    host: str = Field(
        default="127.0.0.1", min_length=1, description="address to listen on; others than this machine's need a token"
    )
    port: int = Field(default=9465, ge=0, le=65535, description="0 = any free port; `gaugecast console` tells which")
    token_file: Path | None = Field(
        default=None, description="file with the token, 16 characters or more, that whoever looks has to give"
    )

    _host = field_validator("host")(plain_host)

    @model_validator(mode="after")
    def _no_stranger_looks(self) -> Console:
        """Whoever reaches the address would see all that sensors say."""
        if self.token_file is None and not is_this_machine(self.host):
            raise ValueError(
                f'host = {self.host!r} lets other machines in: name a token_file, too, or take host = "127.0.0.1" '
                "and a proxy or an SSH tunnel before it"
            )
        return self
