"""What `make start` keeps between two runs, and when it starts empty instead."""

import json
import stat
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from infra.local import kept, start
from infra.local.cloud import LocalCloudError


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as MiniStack leaves it."""
    folder = tmp_path / "state"
    save(kept.prepare(folder), run=1)
    assert kept.complete(tmp_path / "state.new") is None
    return folder


def save(copy: Path, *, run: int, services: Iterable[str] = kept.NEEDED) -> None:
    """Write files as MiniStack does: by a rename, one service after the other."""
    for service in services:
        saved = {"payload": {"run": run, "dynamodb_stream_positions": {"esm": 7}}}
        part = copy / f"{service}.json.tmp"
        part.write_text(json.dumps(saved))
        part.replace(copy / f"{service}.json")


def run_of(folder: Path) -> set[int]:
    return {json.loads(one.read_bytes())["payload"]["run"] for one in folder.glob("*.json")}


def test_what_a_run_saves_takes_the_place_of_what_the_run_before_saved(folder: Path) -> None:
    copy = kept.prepare(folder)
    save(copy, run=2)

    assert run_of(folder) == {1}
    assert kept.complete(copy) is None
    assert run_of(folder) == {2}


def test_a_run_that_dies_while_it_saves_leaves_what_the_run_before_saved(folder: Path) -> None:
    save(kept.prepare(folder), run=2, services=["dynamodb", "lambda"])
    kept.recover(folder)
    copy = kept.prepare(folder)

    assert run_of(folder) == run_of(copy) == {1}


def test_a_save_that_is_not_whole_is_refused(folder: Path) -> None:
    copy = kept.prepare(folder)
    save(copy, run=2)
    (copy / "sqs.json").unlink()

    assert kept.complete(copy) == "sqs.json is missing"
    assert run_of(folder) == {1}


def test_a_run_that_dies_between_two_renames_loses_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy = kept.prepare(folder)
    save(copy, run=2)
    rename = Path.rename

    def first_only(path: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", die)
        return rename(path, target)

    def die(path: Path, target: Path) -> Path:
        raise KeyboardInterrupt

    monkeypatch.setattr(Path, "rename", first_only)
    with pytest.raises(KeyboardInterrupt):
        kept.complete(copy)
    monkeypatch.setattr(Path, "rename", rename)
    kept.recover(folder)

    assert run_of(folder) == {1}


def test_only_its_owner_can_read_what_is_kept(folder: Path) -> None:
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_what_a_clean_stop_left_is_loaded_again(folder: Path) -> None:
    assert kept.holds_something(folder)
    assert kept.defect(folder) is None


def test_a_stream_is_read_from_its_beginning_because_it_is_not_saved(folder: Path) -> None:
    copy = kept.prepare(folder)

    assert json.loads((copy / "lambda.json").read_bytes())["payload"] == {"run": 1}


@pytest.mark.parametrize(
    ("file", "content", "defect"),
    [
        ("dynamodb.json", '{"payload": {"tab', "dynamodb.json is cut off or damaged"),
        ("lambda.json", "[]", "lambda.json is cut off or damaged"),
        ("lambda.json", "7", "lambda.json is cut off or damaged"),
        ("sqs.json", b"\xff\xfe\xff", "sqs.json is cut off or damaged"),
        ("sqs.json", None, "sqs.json is missing"),
        (kept.STAMP, "1.0.0", "it was saved by MiniStack 1.0.0, and this is"),
        (kept.STAMP, None, "it was saved by MiniStack unknown, and this is"),
    ],
)
def test_what_can_not_be_loaded_is_recognized(
    file: str, content: str | bytes | None, defect: str, folder: Path
) -> None:
    match content:
        case None:
            (folder / file).unlink()
        case bytes():
            (folder / file).write_bytes(content)
        case str():
            (folder / file).write_text(content)

    assert (kept.defect(folder) or "").startswith(defect)


def test_two_starts_never_write_to_the_same_folder(folder: Path) -> None:
    with (
        kept.locked(folder),
        pytest.raises(LocalCloudError, match="another `make start`"),
        kept.locked(folder),
    ):
        pass


class Cloud:
    """In place of LocalCloud. Starting it with data fails, if it is told to."""

    fails_with_data = fails_always = False

    def __init__(self, *, state: Path, **_: object) -> None:
        self.directory, self._data = state, kept.holds_something(state)

    def __enter__(self) -> "Cloud":
        if self.fails_always or (self.fails_with_data and self._data):
            raise LocalCloudError("`sam deploy` failed:\nMiniStack could not load its state")
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def keep(self) -> None:
        pass


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> type[Cloud]:
    class Own(Cloud):
        pass

    monkeypatch.setattr(start, "LocalCloud", Own)
    monkeypatch.setattr(start, "build", lambda directory: directory / "template.yaml")
    monkeypatch.setattr(start, "deploy_built", lambda *_: None)
    monkeypatch.setattr(start, "deploy", lambda *_, **__: "empty")
    monkeypatch.setattr(start, "deploy_again", lambda *_, **__: "kept")
    return Own


def begin(folder: Path) -> Any:
    api: Any = SimpleNamespace(url="http://127.0.0.1:1")
    with ExitStack() as running:
        return start.begin(running, folder, api, port=0, for_containers=False)


def asides(folder: Path) -> list[Path]:
    return [one for one in folder.parent.glob("state-*") if one.is_dir()]


@pytest.mark.usefixtures("cloud")
def test_a_start_takes_what_was_kept(folder: Path) -> None:
    assert begin(folder) == "kept"
    assert asides(folder) == []


@pytest.mark.usefixtures("cloud")
def test_damaged_data_is_set_aside_with_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "dynamodb.json").write_text("{")

    assert begin(folder) == "empty"
    [aside] = asides(folder)
    said = [line for line in capsys.readouterr().out.splitlines() if "set aside" in line]
    assert (aside / "dynamodb.json").read_text() == "{"
    assert said == [
        "Starting empty: the data of the last run can't be used (dynamodb.json is cut off or "
        f"damaged) and was set aside in {aside}"
    ]


def test_data_that_the_cloud_can_not_start_with_is_set_aside(
    folder: Path, cloud: type[Cloud], capsys: pytest.CaptureFixture[str]
) -> None:
    cloud.fails_with_data = True

    assert begin(folder) == "empty"
    assert len(asides(folder)) == 1
    assert "can't be used (MiniStack could not load its state)" in capsys.readouterr().out


def test_a_stack_that_can_not_be_updated_at_once_is_updated_in_steps(
    folder: Path, cloud: type[Cloud], monkeypatch: pytest.MonkeyPatch
) -> None:
    def deploy_again(*_: object, stepwise: bool, **__: object) -> str:
        if not stepwise:
            raise LocalCloudError("`sam deploy` failed")
        return "kept"

    monkeypatch.setattr(start, "deploy_again", deploy_again)

    assert begin(folder) == "kept"
    assert asides(folder) == []


def test_data_stays_in_place_if_an_empty_cloud_does_not_start_either(
    folder: Path, cloud: type[Cloud]
) -> None:
    cloud.fails_always = True
    with pytest.raises(LocalCloudError):
        begin(folder)

    assert kept.holds_something(folder)
    assert asides(folder) == []
