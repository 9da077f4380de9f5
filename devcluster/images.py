"""The images: built when their inputs changed, imported into containerd when it does not have them yet."""

import re
import shutil
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from devcluster import archive, buildah, mounts
from devcluster.build import GATEWAY as GATEWAY_PROGRAM
from devcluster.build import PAUSE as PAUSE_PROGRAM
from devcluster.build import STORE as STORE_PROGRAM
from devcluster.build import Program, binary, digest_of
from devcluster.commands import Argv, run
from devcluster.paths import CHECKOUT, SOURCES, Paths
from devcluster.reporting import DevclusterError, say, step

INPUTS_LABEL = "plimsoll.dev/inputs"
BASE_PACKAGES = "python3,ca-certificates,tzdata"
UNUSED = [f"path-exclude=/usr/share/{folder}/*" for folder in ("doc", "man", "locale")]


@dataclass(frozen=True)
class Compiler:
    """What compiles a package in a stage of its own: a script, and the locked tools that it needs."""

    script: Path
    requirements: Path


@dataclass(frozen=True)
class Image:
    """A program, or locked dependencies (``requirements``) and the package that uses them, or both."""

    name: str
    repository: str
    containerfile: Path
    program: Program | None = None
    requirements: Path | None = None
    package: Path | None = None
    compiler: Compiler | None = None


def _of_package(name: str, package: str, compiler: Compiler | None = None) -> Image:
    return Image(
        name=name,
        repository=f"localhost/plimsoll-{name}",
        containerfile=CHECKOUT / name / "Containerfile",
        requirements=CHECKOUT / "requirements" / f"{name}.txt",
        package=CHECKOUT / name / package,
        compiler=compiler,
    )


PAUSE = Image("pause", "localhost/pause", SOURCES / "pause" / "Containerfile", program=PAUSE_PROGRAM)
STORE = Image("store", "localhost/plimsoll-store", SOURCES / "store" / "Containerfile", program=STORE_PROGRAM)
GATEWAY = Image(
    name="gateway",
    repository="localhost/plimsoll-gateway",
    containerfile=SOURCES / "gateway" / "Containerfile",
    program=GATEWAY_PROGRAM,
    requirements=CHECKOUT / "requirements" / "gateway.txt",
)
COMPILER = Compiler(CHECKOUT / "serving" / "compile.py", CHECKOUT / "requirements" / "compile.txt")
ALL = [
    _of_package("operator", "plimsoll"),
    _of_package("serving", "plimsoll_serving", COMPILER),
    _of_package("training", "plimsoll_training"),
    STORE,
]
NAMES = [image.name for image in ALL]
PAUSE_TAG = "1"


def by_name(name: str) -> Image:
    """An image; those that only some tests need are made only when they are named."""
    for image in (*ALL, GATEWAY):
        if image.name == name:
            return image
    raise DevclusterError(f"no image is called {name!r}; the images are {', '.join([*NAMES, GATEWAY.name])}.")


def ensure(paths: Paths, wanted: Iterable[Image], tag: str) -> None:
    """Make containerd hold ``wanted`` under ``tag``, each built from the checkout as it is now."""
    if not re.fullmatch(r"\w[\w.-]{0,127}", tag):
        raise DevclusterError(f"{tag!r} cannot be an image tag; use letters, digits, dots, dashes and underscores.")
    present = imported(paths)
    for image in wanted:
        reference, inputs = f"{image.repository}:{tag}", digest_of_inputs(image)
        if present.get(reference) == inputs:
            say(f"{reference} is current")
            continue
        twin = next((ref for ref, of in present.items() if of == inputs and ref.startswith(f"{image.repository}:")), "")
        if twin:
            ctr(paths, "images", "tag", "--force", twin, reference)
        else:
            _build(paths, image, reference)
            with step(f"importing {reference}"):
                _import(paths, reference)
        ctr(paths, "images", "label", reference, f"{INPUTS_LABEL}={inputs}")
        present[reference] = inputs


def digest_of_inputs(image: Image) -> str:
    """Digest of everything the image is made from that lies in the checkout, as 63 hex digits (a label's bound)."""
    files = [image.containerfile]
    if image.program:
        files += [path for path in image.program.folder.iterdir() if path.is_file()]
    if image.requirements:
        files += [SOURCES / "base" / "Containerfile", *_copied(image)]
    return digest_of(files, CHECKOUT, BASE_PACKAGES)[:63]


def sources(package: Path) -> list[Path]:
    return [path for path in package.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


def ctr_command(paths: Paths, *words: str | Path) -> Argv:
    client: Argv = ["ctr", "--address", paths.containerd_socket, "--namespace", "k8s.io"]
    return [*mounts.entry(paths), *client, *words]


def ctr(paths: Paths, *words: str | Path) -> str:
    return run(ctr_command(paths, *words))


def imported(paths: Paths) -> dict[str, str]:
    """The images containerd holds: reference to the digest of the inputs it was built from ("" if unknown)."""
    return parse_images(ctr(paths, "images", "list").splitlines()[1:])


def parse_images(lines: Sequence[str]) -> dict[str, str]:
    """Read the rows of ``ctr images list``: reference in the first column, ``key=value,…`` labels in the last."""
    found = {}
    for line in lines:
        columns = line.split()
        labels = dict(pair.split("=", 1) for pair in columns[-1].split(",") if "=" in pair)
        found[columns[0]] = labels.get(INPUTS_LABEL, "")
    return found


def _build(paths: Paths, image: Image, reference: str) -> None:
    with tempfile.TemporaryDirectory(prefix="devcluster-") as folder:
        context = Path(folder)
        arguments: dict[str, str] = {}
        if image.program:
            shutil.copy2(binary(paths, image.program), context)
        if image.requirements:
            _fill_context(image, context)
            arguments = _code(image) | _stages(paths, image, context)
        with step(f"building {reference}"):
            buildah.build(paths, reference, buildah.Recipe(image.containerfile, context, arguments))


def _code(image: Image) -> dict[str, str]:
    """The stage that the Containerfile takes the code from by an ARG: buildah knows no such default."""
    return dict(re.findall(r"^ARG (CODE)=(\w+)$", image.containerfile.read_text(), re.MULTILINE))


def _stages(paths: Paths, image: Image, context: Path) -> dict[str, str]:
    """References of the image's stages that hold what is downloaded, by the ARG that names them."""
    needed = {"DEPENDENCIES": [_locked(image.requirements)]}
    if image.compiler:
        needed["COMPILER"] = [_locked(image.requirements), _locked(image.compiler.requirements)]
    return {name: _stage(paths, image, context, name.lower(), files) for name, files in needed.items()}


def _stage(paths: Paths, image: Image, context: Path, stage: str, requirements: list[Path]) -> str:
    """Reference of one of the image's stages, made when ``requirements`` were not installed before."""
    bases = {"BASE": base(paths, "runtime"), "BUILD_BASE": base(paths, "build")}
    key = digest_of([image.containerfile, *requirements], CHECKOUT, *bases.values())[:16]
    reference = f"localhost/devcluster-{image.name}-{stage}:{key}"
    if not buildah.has(paths, reference):
        arguments, volumes = buildah.download_settings(paths)
        recipe = buildah.Recipe(image.containerfile, context, bases | arguments, volumes, stage=stage)
        with step(f"installing the {image.name}'s {stage}"):
            buildah.build(paths, reference, recipe)
    return reference


def _locked(requirements: Path | None) -> Path:
    if requirements is None or not requirements.exists():
        raise DevclusterError(f"{requirements} is missing; run `make lock`.")
    return requirements


def _copied(image: Image) -> list[Path]:
    """What the Containerfile of an image with locked dependencies copies from the checkout."""
    compiler = [image.compiler.script, _locked(image.compiler.requirements)] if image.compiler else []
    return [_locked(image.requirements), *compiler, *(sources(image.package) if image.package else [])]


def _fill_context(image: Image, context: Path) -> None:
    """Copy what the Containerfile asks for to where it would find it in a clean checkout."""
    for source in _copied(image):
        target = context / source.relative_to(CHECKOUT)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)


def base(paths: Paths, stage: str) -> str:
    """Reference of our base image for ``stage`` (runtime or build), made when it is not there yet."""
    containerfile = SOURCES / "base" / "Containerfile"
    key = digest_of([containerfile], SOURCES, BASE_PACKAGES, *UNUSED)[:16]
    reference = f"localhost/devcluster-base-{stage}:{key}"
    if buildah.has(paths, reference):
        return reference
    tarball = paths.cache / "base" / key / "base.tar"
    if not tarball.exists():
        _bootstrap(tarball)
    with step(f"building {reference}"):
        buildah.build(paths, reference, buildah.Recipe(containerfile, tarball.parent, stage=stage))
    return reference


def _bootstrap(tarball: Path) -> None:
    tarball.parent.mkdir(parents=True, exist_ok=True)
    unfinished = tarball.with_name("unfinished.tar")
    leave_out = [f"--dpkgopt={option}" for option in UNUSED]
    with step("mmdebstrap bookworm (about half a minute)"):
        run(["mmdebstrap", "--variant=minbase", f"--include={BASE_PACKAGES}", *leave_out, "bookworm", unfinished])
        unfinished.rename(tarball)


def _import(paths: Paths, reference: str) -> None:
    held = set(ctr(paths, "content", "list", "--quiet").split())
    with tempfile.TemporaryDirectory(prefix="devcluster-", dir=paths.cache) as folder:
        whole, needed = Path(folder) / "whole.tar", Path(folder) / "needed.tar"
        buildah.push(paths, reference, whole)
        archive.cut_down(whole, needed, reference, held)
        ctr(paths, "images", "import", needed)
