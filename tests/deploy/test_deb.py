"""The Debian package on a fresh Debian under a real systemd: install, run, upgrade, remove, purge."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.test_install import ACCOUNTS, CONFIG, PASSWORD, Site, next_version
from support.machine import ROOT, run_machine, why_not
from support.mosquitto import RawClient, run_mosquitto, wait_until
from support.wheels import package_wheel, wheelhouse

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(bool(why_not()), reason=why_not() or "-"),
    pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="dpkg-deb is not installed"),
    pytest.mark.timeout(900),
]


def build(wheel: Path, directory: Path) -> Path:
    """The package of a wheel, for this machine, from a folder of wheels instead of a network."""
    environment = {
        **os.environ,
        "PIP_NO_INDEX": "1",
        "PIP_FIND_LINKS": str(wheelhouse()),
        "PYTHON": sys.executable,
    }
    made = subprocess.run(
        ["sh", str(ROOT / "deploy" / "debian" / "build.sh"), str(wheel), str(directory)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert made.returncode == 0, made.stderr
    return Path(made.stdout.split()[-1])


class Packaged(Site):
    """A fresh machine, and packages of two versions."""

    packages: tuple[str, str]

    def dpkg(self, words: str, *, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run dpkg there; it asks nobody, and has no answer to a question of conffiles."""
        return self.machine.run(f"DEBIAN_FRONTEND=noninteractive dpkg {words}", check=check, deadline_s=300)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Packaged]:
    """The machine; the tests below are one life, in their order."""
    directory = tmp_path_factory.mktemp("deb")
    wheel = package_wheel(directory)
    newer = next_version(directory, wheel, "99.0")
    with run_mosquitto(directory / "broker") as broker, run_machine(directory / "m") as machine:
        made = Packaged(machine, broker, wheel)
        made.packages = (made.bring(build(wheel, directory)), made.bring(build(newer, directory)))
        yield made


@pytest.fixture
def client(site: Packaged) -> Iterator[RawClient]:
    """Somebody who sends readings and hears forecasts."""
    with RawClient(site.broker, subscribe="gaugecast/tanks/#") as client:
        yield client


def test_1_installed_and_configured_it_forecasts(site: Packaged, client: RawClient) -> None:
    """It starts nothing by itself, says what comes next, and runs under its own user."""
    said = site.dpkg(f"--install {site.packages[0]}").stdout
    assert "systemctl enable --now gaugecast" in said
    assert site.unit("ActiveState") == "inactive"
    pages = {"/usr/share/man/man1/gaugecast.1.gz", "/usr/share/man/man5/gaugecast.toml.5.gz"}
    completion = {
        "/usr/share/bash-completion/completions/gaugecast",
        "/usr/share/zsh/vendor-completions/_gaugecast",
        "/usr/share/fish/vendor_completions.d/gaugecast.fish",
    }
    assert pages | completion <= site.machine.files()
    assert "is right" in site.machine.run("gaugecast check -c /etc/gaugecast/gaugecast.toml").stdout
    site.machine.run("printf secret > /etc/gaugecast/mqtt-password")
    site.configure(CONFIG.format(port=site.broker.port, secret=PASSWORD))
    started = site.machine.run("systemctl enable --now gaugecast", check=False)
    assert started.returncode == 0, site.machine.run("journalctl -u gaugecast --no-pager -n 20").stdout
    assert site.exchange(client) == 1
    assert site.machine.run(f"stat -c %U /proc/{site.unit('MainPID')}").stdout.strip() == "gaugecast"
    assert "TensorFlow is not installed" in site.machine.run("journalctl -u gaugecast --no-pager").stdout


def test_1_several_daemons_run_side_by_side(site: Packaged, client: RawClient) -> None:
    """An instance of the template: its own file, its own state directory, and one status over both."""
    text = CONFIG.format(port=site.broker.port, secret=PASSWORD).replace("installed", "part")
    text = text.replace("tanks/{tank}", "other/{tank}") + '[storage]\ndirectory = "/var/lib/gaugecast/part-1"\n'
    (site.machine.shared / "part-1.toml").write_text(text)
    site.machine.run("cat /run/shared/part-1.toml > /etc/gaugecast/part-1.toml")
    started = site.machine.run("systemctl enable --now gaugecast@part-1", check=False)
    assert started.returncode == 0, site.machine.run("journalctl -u gaugecast@part-1 --no-pager -n 20").stdout
    wait_until(
        lambda: "2 of 2 forecast" in site.machine.run("gaugecast status -c /etc/gaugecast", check=False).stdout,
        what="both to forecast",
    )
    assert "/var/lib/gaugecast/part-1/ledger.sqlite" in site.machine.files()


def test_2_an_upgrade_keeps_the_configuration_and_goes_on_where_it_was(site: Packaged, client: RawClient) -> None:
    """Steps go on to be counted; dpkg asks nothing of the configuration, though it was changed."""
    before = site.exchange(client)
    pid = site.unit("MainPID")
    site.dpkg(f"--install {site.packages[1]}")
    assert site.machine.run("gaugecast version").stdout.strip() == "99.0"
    assert site.exchange(client) == before + 1
    assert site.unit("MainPID") != pid
    assert str(site.broker.port) in site.machine.run("cat /etc/gaugecast/gaugecast.toml").stdout


def test_3_a_configuration_that_the_new_version_refuses_leaves_the_old_one_running(
    site: Packaged, client: RawClient
) -> None:
    """The package is there, what runs goes on, and it is said."""
    good = site.machine.run("cat /etc/gaugecast/gaugecast.toml").stdout
    site.configure(good.replace("period", "perriod"))
    pid = site.unit("MainPID")
    said = site.dpkg(f"--install {site.packages[1]}").stderr
    assert "perriod" in said
    assert "refuses" in said
    assert site.unit("MainPID") == pid
    site.exchange(client)
    site.configure(good)


def test_4_a_removal_leaves_configuration_and_ledger_and_what_comes_back_goes_on(
    site: Packaged, client: RawClient
) -> None:
    """Nothing is lost between remove and install."""
    before = site.exchange(client)
    site.dpkg("--remove gaugecast")
    assert site.unit("ActiveState") in ("inactive", "failed")
    assert site.machine.property("gaugecast@part-1", "ActiveState") in ("inactive", "failed")
    assert not any(name.startswith("/opt/gaugecast") for name in site.machine.files())
    assert {"/etc/gaugecast/gaugecast.toml", "/var/lib/gaugecast/ledger.sqlite"} <= site.machine.files()
    site.dpkg(f"--install {site.packages[1]}")
    site.machine.run("systemctl enable --now gaugecast")
    assert site.exchange(client) == before + 1


def test_5_purged_nothing_is_left(site: Packaged) -> None:
    """Not a file, and no user."""
    site.dpkg("--purge gaugecast")
    ours = re.compile("/var/lib/dpkg/|/var/log/(dpkg|alternatives)|/etc/systemd/system/$")
    left = {name for name in site.machine.files() if not ACCOUNTS.match(name) and not ours.match(name)}
    assert left == set()
    assert site.machine.run("getent passwd gaugecast", check=False).returncode != 0


def test_what_install_sh_installed_is_not_replaced(tmp_path: Path) -> None:
    """The package says how to change over."""
    script = (ROOT / "deploy" / "debian" / "preinst").read_text()
    (tmp_path / "current").symlink_to(tmp_path)
    ran = subprocess.run(
        ["sh", "-c", script.replace("/opt/gaugecast", str(tmp_path))], capture_output=True, text=True, check=False
    )
    assert ran.returncode == 1
    assert "install.sh remove" in ran.stderr
