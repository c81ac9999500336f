"""An archive of a release is deployed as it is, without a build."""

import json
import zipfile
from pathlib import Path

from infra.build import release
from infra.local.cloud import LocalCloud
from infra.local.stack import deploy
from tests.factories import make_event


def test_an_unpacked_archive_is_deployed_and_answers(tmp_path: Path, built: Path) -> None:
    archive = release.pack(
        built.parent,
        tmp_path / "getprofile-webhooks-1.zip",
        [release.ROOT / name for name in release.BESIDE],
    )
    with zipfile.ZipFile(archive) as packed:
        packed.extractall(tmp_path / "unpacked")

    with LocalCloud(port=0) as cloud:
        stack = deploy(cloud, tmp_path / "unpacked" / archive.stem / "template.yaml")
        answer = stack.post(json.dumps(make_event("evt_1")))

        assert (answer.status, answer.data) == (200, b"OK")
