"""Makes the files of a release: the built stack for each processor, gpw's wheel, checksums.

Usage: python -m infra.build.release [--tag v0.3.0 [--publish]]    (`make release`)

Everything is built from what git holds, in a directory of its own. With a tag, that is the tag,
which must name this version and be what is checked out. Without one it is a trial: the tracked
files as they are now. Files that git does not know are in neither.
"""

import argparse
import hashlib
import io
import platform
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
import zipfile
import zlib
from pathlib import Path

from infra.build.architecture import PROCESSORS
from infra.local.stack import build

ROOT = Path(__file__).resolve().parents[2]
DIST = ROOT / "dist"
SUMS = "SHA256SUMS"
BESIDE = ("samconfig.toml", "CHANGELOG.md", "LICENSE")  # the build, in each archive
LONG_AGO = (1980, 1, 1, 0, 0, 0)  # the earliest time in a zip; the same files give the same bytes


class ReleaseError(Exception):
    """The release can't be made; the text says what to do."""


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Make the files of a release in dist/.")
    parser.add_argument("--tag", help="the tag that is released, such as v0.3.0")
    parser.add_argument(
        "--publish", action="store_true", help="create the release on GitHub with the program gh"
    )
    options = parser.parse_args(arguments)
    try:
        if options.publish and not options.tag:
            raise ReleaseError("--publish needs --tag")
        version = released_version(ROOT, options.tag)
        with tempfile.TemporaryDirectory(prefix="getprofile-release-") as scratch:
            sources = Path(scratch) / "sources"
            export(ROOT, options.tag, sources)
            made = make(sources, DIST)
        print((DIST / SUMS).read_text(encoding="utf-8"), end="")
        print(tools())
        if options.publish:
            publish(options.tag, f"{notes(ROOT, version)}\n{tools()}\n", made)
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


def tools() -> str:
    """What made the bytes: the same sources and these versions on Linux give the same checksums."""
    return f"Made with Python {platform.python_version()} and zlib {zlib.ZLIB_RUNTIME_VERSION}."


def export(repository: Path, tag: str | None, target: Path) -> None:
    """Write the files of a tag, or without one the tracked files as they are now, to a directory.

    Raises: ReleaseError, if the tag is not what is checked out, or if a file is a symbolic link,
    because what is packed would then be what the link points to.
    """
    commit = tagged(repository, tag) if tag else git(repository, "stash", "create") or "HEAD"
    packed = git_bytes(repository, "-c", "core.autocrlf=false", "archive", commit)
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        links = [one.name for one in archive if one.issym() or one.islnk()]
        if links:
            raise ReleaseError(f"A release holds no symbolic links: {', '.join(links)}")
        archive.extractall(target, filter="data")


def tagged(repository: Path, tag: str) -> str:
    """The commit of a tag. Raises: ReleaseError, if it is not checked out or a file differs."""
    if not git(repository, "tag", "--list", tag):
        raise ReleaseError(f"There is no tag {tag}: git tag {tag}")
    commit = git(repository, "rev-parse", f"refs/tags/{tag}^{{commit}}")
    if commit != git(repository, "rev-parse", "HEAD"):
        raise ReleaseError(f"{tag} is not what is checked out: git checkout {tag}")
    if changed := git(repository, "status", "--porcelain"):
        raise ReleaseError(f"These files differ from {tag}; commit or remove them:\n{changed}")
    return commit


def git(repository: Path, *arguments: str) -> str:
    return git_bytes(repository, *arguments).decode().rstrip("\n")


def git_bytes(repository: Path, *arguments: str) -> bytes:
    command = ["git", "-C", str(repository), *arguments]
    return subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout


def make(sources: Path, target: Path) -> list[Path]:
    """Build all files of a release from `sources` into `target`. Returns: their paths."""
    version = released_version(sources, None)
    target.mkdir(exist_ok=True)
    made = [
        *(stack_archive(sources, target, version, one) for one in PROCESSORS),
        wheel(sources, target, version),
    ]
    sums = target / SUMS
    sums.write_text("".join(f"{sha256(one)}  {one.name}\n" for one in made), encoding="utf-8")
    return [*made, sums]


def stack_archive(sources: Path, target: Path, version: str, processor: str) -> Path:
    """Build the stack and pack it, ready for `sam deploy --guided`."""
    name = f"getprofile-webhooks-{version}-{processor}"
    print(f"Building {name}", file=sys.stderr)
    with tempfile.TemporaryDirectory(prefix="getprofile-release-") as directory:
        template = build(Path(directory), architecture=processor, source=sources)
        return pack(template.parent, target / f"{name}.zip", [sources / one for one in BESIDE])


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


def wheel(sources: Path, target: Path, version: str) -> Path:
    """Build the wheel of gpw."""
    command = [str(Path(sys.executable).parent / "uv"), "build", "--wheel", "--quiet", "--offline"]
    subprocess.run(
        [*command, "--no-build-isolation", "--python", sys.executable, "--out-dir", str(target)],
        cwd=sources,
        check=True,
    )
    return target / f"getprofile_webhooks-{version}-py3-none-any.whl"


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
