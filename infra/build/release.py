"""Makes the files of a release: the built stack for each processor, gpw's wheel, checksums.

python -m infra.build.release [--tag v0.2.0 [--publish]]: with a tag, only if it names this version.
"""

import argparse
import hashlib
import re
import subprocess
import sys
import tempfile
import tomllib
import zipfile
from pathlib import Path

from infra.local.stack import build

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
PROCESSORS = ("arm64", "x86_64")
BESIDE = ("samconfig.toml", "CHANGELOG.md", "LICENSE")  # the build, in each archive
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip; the same files give the same bytes


class ReleaseError(Exception):
    """The release can't be made; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the files of a release in dist/.")
    parser.add_argument("--tag", help="the tag that is released, such as v0.2.0")
    parser.add_argument(
        "--publish", action="store_true", help="create the release on GitHub with the program gh"
    )
    options = parser.parse_args(arguments)
    try:
        if options.publish and not options.tag:
            raise ReleaseError("--publish needs --tag")
        version = released_version(ROOT, options.tag)
        made = [*(stack_archive(version, one) for one in PROCESSORS), wheel(version)]
        sums = DIST / "SHA256SUMS"
        text = "".join(f"{sha256(path)}  {path.name}\n" for path in made)
        sums.write_text(text, encoding="utf-8")
        print(text, end="")
        if options.publish:
            publish(options.tag, notes(ROOT, version), [*made, sums])
    except (ReleaseError, subprocess.CalledProcessError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


def released_version(repository: Path, tag: str | None) -> str:
    """The version in pyproject.toml. Raises: ReleaseError, if a tag or the changelog differs."""
    project = tomllib.loads((repository / "pyproject.toml").read_text(encoding="utf-8"))
    version = str(project["project"]["version"])
    if tag is None:
        return version
    if tag != f"v{version}":
        raise ReleaseError(f"The tag is {tag}, but pyproject.toml has version {version}")
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    if not re.search(rf"^## {re.escape(version)} · \d{{4}}-\d\d-\d\d$", changelog, re.MULTILINE):
        raise ReleaseError(
            f"CHANGELOG.md has no heading '## {version} · <date>': move the entries under "
            "Unreleased there"
        )
    return version


def notes(repository: Path, version: str) -> str:
    """What the changelog says of a version."""
    changelog = (repository / "CHANGELOG.md").read_text(encoding="utf-8")
    found = re.search(
        rf"^## {re.escape(version)} · [^\n]*\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL
    )
    if not found:
        raise ReleaseError(f"CHANGELOG.md says nothing of {version}")
    return found[1].strip() + "\n"


def publish(tag: str, text: str, files: list[Path]) -> None:
    """Create the release on GitHub. text: its description."""
    command = ["gh", "release", "create", tag, *map(str, files), "--verify-tag", "--title", tag]
    subprocess.run([*command, "--notes-file", "-"], input=text, text=True, check=True)


def stack_archive(version: str, processor: str) -> Path:
    """Build the stack and pack it, ready for `sam deploy --guided`."""
    name = f"getprofile-webhooks-{version}-{processor}"
    print(f"Building {name}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="getprofile-release-") as directory:
        template = build(Path(directory), architecture=processor)
        text = template.read_text(encoding="utf-8")
        template.write_text(for_processor(text, processor), encoding="utf-8")
        DIST.mkdir(exist_ok=True)
        return pack(template.parent, DIST / f"{name}.zip", [ROOT / one for one in BESIDE])


def for_processor(template: str, processor: str) -> str:
    """The template with only this processor to choose, because the packages are built for it."""
    parameter = re.compile(
        r"(^  Architecture:\n(?:    .*\n)*?    AllowedValues:\n)(?:    - .*\n)+(    Default: ).*\n",
        re.MULTILINE,
    )
    changed, count = parameter.subn(
        lambda found: f"{found[1]}    - {processor}\n{found[2]}{processor}\n", template
    )
    if count != 1:
        raise ReleaseError("The parameter Architecture was not found in the built template")
    return changed


def pack(folder: Path, archive: Path, beside: list[Path]) -> Path:
    """A zip of a folder and of some files beside it, below one directory named as the archive.

    The same content gives the same bytes, so that anybody can make it again and compare.
    """
    files = {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}
    files |= {path.name: path for path in beside}
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(f"{archive.stem}/{name}", LONG_AGO)
            entry.external_attr = 0o644 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            packed.writestr(entry, path.read_bytes())
    return archive


def wheel(version: str) -> Path:
    """Build the wheel of gpw."""
    command = [str(Path(sys.executable).parent / "uv"), "build", "--wheel", "--quiet"]
    subprocess.run([*command, "--no-build-isolation", "--out-dir", str(DIST)], cwd=ROOT, check=True)
    return DIST / f"getprofile_webhooks-{version}-py3-none-any.whl"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
