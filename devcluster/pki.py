"""The certificates of one cluster, made by the openssl command line."""

from dataclasses import dataclass, field
from pathlib import Path

from devcluster.commands import Argv, run
from devcluster.network import API_SERVICE, NODE_ADDRESS, NODE_NAME
from devcluster.paths import Paths

DAYS = "3650"


@dataclass(frozen=True)
class Certificate:
    """A leaf certificate: common name is the user, organization the group (kubernetes.io: PKI requirements)."""

    name: str
    common_name: str
    organization: str = ""
    subject_alternatives: list[str] = field(default_factory=list)

    @property
    def subject(self) -> str:
        return (f"/O={self.organization}" if self.organization else "") + f"/CN={self.common_name}"


CERTIFICATES = [
    Certificate("admin", "kubernetes-admin", "system:masters"),
    Certificate("controller-manager", "system:kube-controller-manager"),
    Certificate("scheduler", "system:kube-scheduler"),
    Certificate("proxy", "system:kube-proxy"),
    Certificate("kubelet", f"system:node:{NODE_NAME}", "system:nodes", [f"DNS:{NODE_NAME}", f"IP:{NODE_ADDRESS}"]),
    Certificate(
        "apiserver",
        "kube-apiserver",
        "",
        [
            "DNS:localhost",
            "DNS:kubernetes",
            "DNS:kubernetes.default",
            "DNS:kubernetes.default.svc",
            "DNS:kubernetes.default.svc.cluster.local",
            "IP:127.0.0.1",
            f"IP:{API_SERVICE}",
            f"IP:{NODE_ADDRESS}",
        ],
    ),
]


def create(paths: Paths) -> bool:
    """Make the authority, every certificate and the service-account key, where missing; say whether any was made."""
    paths.pki.mkdir(parents=True, exist_ok=True)
    paths.pki.chmod(0o700)
    complete = paths.pki / "complete"
    if complete.exists():
        return False
    _authority(paths.pki)
    for certificate in CERTIFICATES:
        _leaf(paths.pki, certificate)
    _key(paths.pki / "sa.key")
    run(["openssl", "pkey", "-in", paths.pki / "sa.key", "-pubout", "-out", paths.pki / "sa.pub"])
    complete.touch()
    return True


def _key(path: Path) -> None:
    run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", path])
    path.chmod(0o600)


def _authority(pki: Path) -> None:
    _key(pki / "ca.key")
    request: Argv = ["openssl", "req", "-x509", "-new", "-key", pki / "ca.key", "-subj", "/CN=plimsoll-devcluster"]
    usage = ["-addext", "keyUsage=critical,keyCertSign,cRLSign"]
    run([*request, *usage, "-days", DAYS, "-out", pki / "ca.crt"])


def _leaf(pki: Path, certificate: Certificate) -> None:
    key = pki / f"{certificate.name}.key"
    _key(key)
    request = run(["openssl", "req", "-new", "-key", key, "-subj", certificate.subject])
    extensions = pki / f"{certificate.name}.ext"
    extensions.write_text(extensions_of(certificate))
    sign: Argv = ["openssl", "x509", "-req", "-CA", pki / "ca.crt", "-CAkey", pki / "ca.key", "-days", DAYS]
    run([*sign, "-extfile", extensions, "-out", pki / f"{certificate.name}.crt"], stdin=request)


def extensions_of(certificate: Certificate) -> str:
    """The x509v3 extension file: every part is a client, those with alternative names also serve."""
    usages = "clientAuth,serverAuth" if certificate.subject_alternatives else "clientAuth"
    lines = ["basicConstraints=critical,CA:false", "keyUsage=critical,digitalSignature", f"extendedKeyUsage={usages}"]
    if certificate.subject_alternatives:
        lines.append("subjectAltName=" + ",".join(certificate.subject_alternatives))
    return "\n".join(lines) + "\n"
