"""`gaugecast models`: list, show, import, and what they say where no daemon runs."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest

from e2e.scenes import tanks_config
from gaugecast.loop.model_roles import LEARNER
from gaugecast.model import load_model, save_model, seal_model
from gaugecast.storage.models import ModelStore
from learning.worlds import shifted_model, small_model
from support.daemon import DaemonProcess, run_command


@pytest.fixture
def place(tmp_path: Path) -> DaemonProcess:
    """A configuration and a state directory; nothing runs."""
    return DaemonProcess(tmp_path / "d", tanks_config(1))


def models(place: DaemonProcess, *words: str) -> str:
    """What the command prints, if it succeeds."""
    found = run_command("models", *words, "-c", str(place.config_path))
    assert found.returncode == 0, found.stderr
    return found.stdout


def test_versions_are_listed_with_their_makers_damaged_ones_too(place: DaemonProcess) -> None:
    """Newest last."""
    store = ModelStore(place.state)
    first, second = (store.add("tanks", model) for model in (small_model(1), small_model(2)))
    for age, version in enumerate((second, first)):
        os.utime(store.place("tanks", version), (1e9 - age, 1e9 - age))
    (store.place("tanks", first) / "model.json").write_text("{")
    text = models(place, "list")
    assert text.index(first) < text.index(second)
    assert "damaged" in text
    assert "tests" in text


def test_only_the_newest_are_listed_unless_all_are_asked_for(place: DaemonProcess) -> None:
    """A learner leaves thousands."""
    store = ModelStore(place.state)
    for seed in range(23):
        store.add("tanks", small_model(seed))
    assert models(place, "list").count(" tests ") == 20
    assert models(place, "list", "--all").count(" tests ") == 23


def test_a_manifest_is_shown_and_one_that_is_not_there_is_said_so(place: DaemonProcess) -> None:
    """One line, no traceback."""
    version = ModelStore(place.state).add("tanks", small_model())
    assert '"made_by": "tests"' in models(place, "show", version)
    found = run_command("models", "show", "abcdef", "-c", str(place.config_path))
    assert found.returncode == 78
    assert "found nothing" in found.stderr
    assert "Traceback" not in found.stderr


def test_what_is_imported_is_not_the_learners_whoever_made_it(place: DaemonProcess, tmp_path: Path) -> None:
    """Else it would be swept, and put aside by the next hand-over; the fleet's name is ours."""
    theirs = shifted_model(0.5, made_by=LEARNER)
    save_model(seal_model(replace(theirs.manifest, fleet="elsewhere"), dict(theirs.weights)), tmp_path / "m")
    text = models(place, "import", str(tmp_path / "m"))
    version = theirs.manifest.version
    assert text.startswith(version)
    manifest = load_model(ModelStore(place.state).place("tanks", version)).manifest
    assert manifest.fleet == "tanks"
    assert manifest.provenance["made_by"] == f"imported: {LEARNER}"


def test_a_model_is_copied_to_a_fleet_of_the_same_shape(place: DaemonProcess) -> None:
    """There it is nobody's lesson; a fleet with other features, or the same fleet, gets none."""
    before, tanks = tanks_config(1).split("[fleet.tanks]")
    others = [tanks.replace("fleet.tanks", f"fleet.{name}").replace("load", name) for name in ("vats", "wider")]
    more = '[fleet.wider.features.flow]\nunit = "l"\n'
    place.write_config(f"{before}[fleet.tanks]{tanks}[fleet.vats]{others[0]}[fleet.wider]{others[1]}{more}")
    store = ModelStore(place.state)
    version = store.add("tanks", shifted_model(0.5, made_by=LEARNER))
    assert models(place, "copy", version, "--fleet", "tanks", "--to", "vats").startswith(
        f"{version} is stored for fleet vats"
    )
    copied = store.manifest("vats", version)
    assert (copied.fleet, copied.provenance["made_by"]) == ("vats", f"copied from tanks: {LEARNER}")
    for to, why in (("wider", "features"), ("tanks", "expected another fleet")):
        refused = run_command("models", "copy", version, "--fleet", "tanks", "--to", to, "-c", str(place.config_path))
        assert (refused.returncode in (2, 78), why in refused.stderr) == (True, True), refused.stderr


def test_a_model_of_another_period_is_not_imported(place: DaemonProcess, tmp_path: Path) -> None:
    """The message says what was expected and what came."""
    model = small_model()
    save_model(seal_model(replace(model.manifest, period_s=60.0), dict(model.weights)), tmp_path / "m")
    found = run_command("models", "import", str(tmp_path / "m"), "-c", str(place.config_path))
    assert found.returncode == 78
    assert "period_s 1.0 expected" in found.stderr


def test_the_same_weights_with_another_recipe_are_another_version(place: DaemonProcess, tmp_path: Path) -> None:
    """Else the mended recipe would silently not be there; the same model imported twice is stored once."""
    first = small_model()
    mended = replace(first.manifest.recipe, half_life_steps=123.0)
    for name, manifest in (("m", first.manifest), ("n", replace(first.manifest, recipe=mended))):
        save_model(seal_model(manifest, dict(first.weights)), tmp_path / name)
    assert models(place, "import", str(tmp_path / "m")) == models(place, "import", str(tmp_path / "m"))
    second = models(place, "import", str(tmp_path / "n")).split()[0]
    store = ModelStore(place.state)
    assert set(store.versions("tanks")) == {first.manifest.version, second}
    assert [store.manifest("tanks", v).recipe.half_life_steps == 123.0 for v in (first.manifest.version, second)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("words", [("promote",), ("rollback",), ("shadow", "abcdef")])
def test_roles_need_a_running_daemon(place: DaemonProcess, words: tuple[str, ...]) -> None:
    """Exit code 69."""
    place.state.mkdir(parents=True)
    assert run_command("models", *words, "-c", str(place.config_path)).returncode == 69
