"""When an image is built again, and what of it is copied."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from pathlib import Path

import pytest

from devcluster import archive, buildah, images
from devcluster.build import digest_of
from devcluster.paths import CHECKOUT, Paths
from devcluster.reporting import DevclusterError

PATHS = Paths(cache=Path("/cache"), state=Path("/state"))


def digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def docker_archive(path: Path, layers: list[bytes]) -> Path:
    files = {f"{digest(layer)}.tar": layer for layer in layers} | {"config.json": b"{}"}
    listed = [{"Config": "config.json", "RepoTags": ["x:y"], "Layers": [f"{digest(layer)}.tar" for layer in layers]}]
    with tarfile.open(path, "w") as sink:
        for name, content in {**files, "manifest.json": json.dumps(listed).encode()}.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            sink.addfile(entry, io.BytesIO(content))
    return path


def contents(path: Path) -> dict[str, bytes]:
    with tarfile.open(path) as source:
        return {member.name: content.read() for member in source if (content := source.extractfile(member))}


def test_layers_that_containerd_holds_are_left_out_but_still_named(tmp_path: Path) -> None:
    whole = docker_archive(tmp_path / "whole.tar", [b"base", b"code"])

    archive.cut_down(whole, tmp_path / "cut.tar", "localhost/x:dev", {f"sha256:{digest(b'base')}"})

    files = contents(tmp_path / "cut.tar")
    entry = json.loads(files["index.json"])["manifests"][0]
    manifest = json.loads(files[f"blobs/sha256/{entry['digest'].removeprefix('sha256:')}"])
    assert [layer["digest"] for layer in manifest["layers"]] == [
        f"sha256:{digest(b'base')}",
        f"sha256:{digest(b'code')}",
    ]
    assert [layer["size"] for layer in manifest["layers"]] == [4, 4]
    assert f"blobs/sha256/{digest(b'base')}" not in files
    assert files[f"blobs/sha256/{digest(b'code')}"] == b"code"
    assert entry["annotations"] == {"io.containerd.image.name": "localhost/x:dev"}


def test_every_blob_is_stored_under_its_own_digest(tmp_path: Path) -> None:
    whole = docker_archive(tmp_path / "whole.tar", [b"base", b"code"])

    archive.cut_down(whole, tmp_path / "cut.tar", "localhost/x:dev", held=())

    blobs = {name: content for name, content in contents(tmp_path / "cut.tar").items() if name.startswith("blobs/")}
    assert len(blobs) == 4
    assert all(name.endswith(digest(content)) for name, content in blobs.items())


def test_images_are_read_with_the_inputs_they_were_built_from() -> None:
    rows = [
        "localhost/a:dev x/y sha256:1 1.4 MiB linux/amd64 io.cri-containerd.image=managed,plimsoll.dev/inputs=a",
        "localhost/b:dev x/y sha256:2 1.4 MiB linux/amd64 io.cri-containerd.image=managed",
        "sha256:1 x/y sha256:1 1.4 MiB linux/amd64 -",
    ]

    assert images.parse_images(rows) == {"localhost/a:dev": "a", "localhost/b:dev": "", "sha256:1": ""}


def test_a_changed_source_changes_the_digest_and_bytecode_does_not(tmp_path: Path) -> None:
    serving = images.by_name("serving")
    package = tmp_path / "package"
    shutil.copytree(serving.package or Path(), package, ignore=shutil.ignore_patterns("__pycache__"))
    files = images.sources(package)
    before = digest_of(files, tmp_path)

    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "x.cpython-311.pyc").write_bytes(b"bytecode")
    assert digest_of(images.sources(package), tmp_path) == before

    (package / "__init__.py").write_text("changed = True\n")
    assert digest_of(images.sources(package), tmp_path) != before


def test_a_renamed_file_changes_the_digest(tmp_path: Path) -> None:
    (tmp_path / "a").write_text("same")
    before = digest_of([tmp_path / "a"], tmp_path)
    (tmp_path / "a").rename(tmp_path / "b")

    assert digest_of([tmp_path / "b"], tmp_path) != before


def test_the_digest_of_an_image_fits_a_label_and_is_its_own() -> None:
    digests = [images.digest_of_inputs(image) for image in (*images.ALL, images.GATEWAY)]

    assert all(len(each) == 63 for each in digests)
    assert len(set(digests)) == len(digests)


def test_certificates_and_index_of_the_host_reach_the_build_only_when_set(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    bundle = tmp_path / "bundle.crt"
    bundle.touch()

    plain, _ = buildah.download_settings(paths, {})
    given, volumes = buildah.download_settings(
        paths, {"SSL_CERT_FILE": str(bundle), "PIP_INDEX_URL": "https://index.example/simple"}
    )

    assert plain == {}
    assert given == {"PIP_CERT": buildah.CA_IN_BUILD, "PIP_INDEX_URL": "https://index.example/simple"}
    assert f"{bundle}:{buildah.CA_IN_BUILD}:ro" in volumes


def test_an_unknown_image_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DevclusterError, match="the images are operator, serving, training, store"):
        images.by_name("server")


def test_the_image_of_the_gateway_is_made_when_it_is_named_and_holds_a_program_and_locked_dependencies() -> None:
    image = images.by_name("gateway")
    assert image not in images.ALL
    assert image.program is not None and image.requirements is not None
    stages = (CHECKOUT / "devcluster" / "gateway" / "Containerfile").read_text().split("\nFROM ")
    assert "USER 65532:65532" in stages[-1] and "pip" not in "\n".join(stages[-2:])


def test_a_tag_that_is_none_is_refused_before_anything_is_built() -> None:
    with pytest.raises(DevclusterError, match="cannot be an image tag"):
        images.ensure(PATHS, images.ALL, "not/a:tag")


@pytest.mark.parametrize("name", ["operator", "serving", "training"])
def test_the_final_stage_holds_neither_pip_nor_the_settings_of_a_host(name: str) -> None:
    stages = (CHECKOUT / name / "Containerfile").read_text().split("\nFROM ")
    shipped = "\n".join(stages[-2:])

    assert "pip" not in shipped
    assert "USER 65532:65532" in stages[-1]
    assert "unchecked-hash" in stages[-1]
