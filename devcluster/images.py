"""Building container images with buildah and importing them into containerd, each once for each digest of its inputs."""

from devcluster import build
from devcluster.commands import run
from devcluster.paths import Paths
from devcluster.reporting import step
from devcluster import parts
PAUSE="pause"
NAMES=["pause"]
def by_name(n): return n
def ensure(paths, images, tag="dev"):
    binary = build.binary(paths, build.PAUSE)
    b = paths.run/"pause-image"
    b.mkdir(exist_ok=True)
    (b/"Containerfile").write_text('FROM scratch\nCOPY pause /pause\nUSER 65535:65535\nENTRYPOINT ["/pause"]\n')
    import shutil; shutil.copy(binary, b/"pause")
    run(["buildah","--root",paths.cache/"containers","--runroot",paths.cache/"containers-run","bud","--isolation","chroot","--pull-never","-t","localhost/pause:1",b])
    t=b/"pause.tar"
    t.unlink(missing_ok=True)
    run(["buildah","--root",paths.cache/"containers","--runroot",paths.cache/"containers-run","push","localhost/pause:1",f"docker-archive:{t}:localhost/pause:1"])
    run([*parts.in_containerd_mounts(paths),"ctr","--address",paths.containerd_socket,"--namespace","k8s.io","images","import",t])
