"""Image archives cut down to what containerd lacks: a change of a few files is not worth copying a whole image.

In: the docker-archive that buildah writes. Out: an OCI image layout (OCI image-spec 1.1, image-layout.md) in a tar.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Collection
from pathlib import Path
from typing import Any

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar"
NAME_ANNOTATION = "io.containerd.image.name"


def cut_down(archive: Path, target: Path, reference: str, held: Collection[str]) -> None:
    """Write ``target``: the image of ``archive`` named ``reference``, without the layers whose digest is in ``held``.

    Digests are written ``sha256:`` and 64 hex digits. Layers in such archives are plain tars named by their digest.
    """
    with tarfile.open(archive) as source, tarfile.open(target, "w") as sink:
        config_name, layer_names = _listed(source)
        layers = []
        for name in layer_names:
            member = source.getmember(name)
            digest = name.removesuffix(".tar")
            layers.append(_descriptor(LAYER, digest, member.size))
            if f"sha256:{digest}" not in held:
                blob = tarfile.TarInfo(f"blobs/sha256/{digest}")
                blob.size = member.size
                sink.addfile(blob, source.extractfile(member))
        config = _put_blob(sink, CONFIG, _read(source, config_name))
        manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        described = _put_blob(sink, MANIFEST, json.dumps(manifest).encode())
        described["annotations"] = {NAME_ANNOTATION: reference}
        _put(sink, "index.json", json.dumps({"schemaVersion": 2, "manifests": [described]}).encode())
        _put(sink, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')


def _listed(source: tarfile.TarFile) -> tuple[str, list[str]]:
    image = json.loads(_read(source, "manifest.json"))[0]
    return image["Config"], image["Layers"]


def _read(source: tarfile.TarFile, name: str) -> bytes:
    content = source.extractfile(name)
    if content is None:
        raise ValueError(f"{name} in {source.name!r} is not a file")
    return content.read()


def _descriptor(media_type: str, digest: str, size: int) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": size}


def _put_blob(sink: tarfile.TarFile, media_type: str, content: bytes) -> dict[str, Any]:
    digest = hashlib.sha256(content).hexdigest()
    _put(sink, f"blobs/sha256/{digest}", content)
    return _descriptor(media_type, digest, len(content))


def _put(sink: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    sink.addfile(entry, io.BytesIO(content))
