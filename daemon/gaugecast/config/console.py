"""The tables `[console]` and `[console.tls]`: where the console is served, who may see it, and who may change."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, field_validator, model_validator

from gaugecast.config.addresses import is_this_machine
from gaugecast.config.broker import plain_host
from gaugecast.config.table import Table


class ConsoleTls(Table):
    """TLS of the console itself; the table being there switches it on."""

    certificate: Path = Field(description="its certificate (PEM), with those between it and the CA's behind it")
    key: Path = Field(description="private key of the certificate (PEM)")


class Console(Table):
    """The console: a page that shows what the daemon does, and the API behind it. Needs the extra `console`."""

    enabled: bool = Field(default=False, description="whether `gaugecast run` starts it, as a process of its own")
    host: str = Field(
        default="127.0.0.1",
        min_length=1,
        description="address to listen on; others than this machine's need a token, and TLS or a proxy that has it",
    )
    port: int = Field(default=9465, ge=0, le=65535, description="0 = any free port; `gaugecast console` tells which")
    token_file: Path | None = Field(
        default=None,
        description="file with the token, 16 characters or more, that whoever looks has to give",
        examples=['"/etc/gaugecast/console.token"'],
    )
    write_token_file: Path | None = Field(
        default=None,
        description="file with the token of those who may change models and streams; absent = nobody may",
        examples=['"/etc/gaugecast/console-write.token"'],
    )
    proxy: str | None = Field(
        default=None,
        description="address at which a reverse proxy with TLS serves the console",
        examples=['"https://gauges.example"'],
    )
    tls: ConsoleTls | None = Field(default=None, description="present = TLS")

    _host = field_validator("host")(plain_host)

    @field_validator("proxy")
    @classmethod
    def _proxy_has_tls(cls, proxy: str | None) -> str | None:
        """A proxy without TLS would pass the token on for all to read."""
        if proxy is not None and (not proxy.startswith("https://") or len(proxy.split("/")) != 3):
            raise ValueError('the scheme and the name alone, such as "https://gauges.example"')
        return proxy

    @model_validator(mode="after")
    def _no_stranger_looks(self) -> Console:
        """Whoever reaches the address would see all that sensors say, and whoever listens on the way the token."""
        if is_this_machine(self.host):
            return self
        if self.token_file is None:
            raise ValueError(
                f'host = {self.host!r} lets other machines in: name a token_file, too, or take host = "127.0.0.1" '
                "and a proxy or an SSH tunnel before it"
            )
        if self.tls is None and self.proxy is None:
            raise ValueError(
                f"host = {self.host!r} sends the token over the network for all to read: add [console.tls], or name "
                'the reverse proxy that has TLS, proxy = "https://gauges.example"'
            )
        return self

    @model_validator(mode="after")
    def _two_tokens(self) -> Console:
        """One token that does both would let everybody who looks write."""
        if self.token_file is not None and self.token_file == self.write_token_file:
            raise ValueError("write_token_file: expected another file than token_file, for other people")
        return self
