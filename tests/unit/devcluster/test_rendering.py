"""What is written for the parts, without starting any."""

from __future__ import annotations

import json
import tomllib
from itertools import pairwise
from pathlib import Path

import pytest

from devcluster import cli, config, network, parts, pki, toolchain, volumes
from devcluster.paths import Paths
from devcluster.reporting import DevclusterError

LISTENS = ("--bind-address", "--listen-client-urls")
PATHS = Paths(cache=Path("/cache"), state=Path("/state"))


def test_the_cache_follows_the_environment() -> None:
    def cache(**environ: str) -> str:
        return str(Paths.from_environment(environ).cache)

    assert cache(HOME="/home/ada") == "/home/ada/.cache/plimsoll"
    assert cache(HOME="/home/ada", XDG_CACHE_HOME="/big") == "/big/plimsoll"
    assert cache(HOME="/home/ada", XDG_CACHE_HOME="/big", PLIMSOLL_CACHE="/here") == "/here"
    assert cache(HOME="/home/ada", PLIMSOLL_CACHE="") == "/home/ada/.cache/plimsoll"


def test_the_state_follows_the_environment() -> None:
    assert str(Paths.from_environment({}).state) == "/var/lib/plimsoll-devcluster"
    assert str(Paths.from_environment({"PLIMSOLL_STATE": "/s"}).state) == "/s"


def test_everything_containerd_keeps_lies_below_the_state() -> None:
    rendered = tomllib.loads(config.containerd(PATHS))

    assert rendered["root"].startswith("/state/")
    assert rendered["state"].startswith("/state/")
    assert rendered["plugins"]["io.containerd.internal.v1.opt"]["path"].startswith("/state/")
    assert rendered["plugins"]["io.containerd.grpc.v1.cri"]["netns_mounts_under_state_dir"] is True


def test_no_part_listens_outside_loopback_and_the_benchmark_range() -> None:
    addresses = [config.kubelet(PATHS)["address"], *config.proxy(PATHS)["nodePortAddresses"]]
    addresses += [config.proxy(PATHS)[f"{name}BindAddress"] for name in ("healthz", "metrics")]

    assert all(address.startswith("198.18.0.1") for address in addresses)
    assert "bind 198.18.0.1" in config.corefile(PATHS)
    for part in parts.PARTS[:4]:
        words = [str(word) for word in part.argv(PATHS)]
        bound = [word for flag, word in pairwise(words) if flag in LISTENS]
        assert bound and all("127.0.0.1" in word or word == "198.18.0.1" for word in bound)


def test_a_configuration_that_did_not_change_is_not_written_again(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    config.write(paths)
    before = (paths.etc / "proxy.yaml").stat().st_mtime_ns

    config.write(paths)

    assert (paths.etc / "proxy.yaml").stat().st_mtime_ns == before


def test_a_kubeconfig_with_a_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")
    config.write(paths)

    assert paths.kubeconfig.stat().st_mode & 0o077 == 0
    assert json.loads(paths.kubeconfig.read_text())["clusters"][0]["cluster"]["server"] == config.API_URL


def test_only_what_serves_has_a_server_certificate() -> None:
    serving = {each.name for each in pki.CERTIFICATES if "serverAuth" in pki.extensions_of(each)}

    assert serving == {"apiserver", "kubelet"}


def test_the_api_server_is_known_by_every_name_it_is_called() -> None:
    extensions = next(pki.extensions_of(each) for each in pki.CERTIFICATES if each.name == "apiserver")

    addresses = (f"IP:{network.API_SERVICE}", f"IP:{network.NODE_ADDRESS}", "IP:127.0.0.1")
    for name in ("DNS:kubernetes.default.svc", "DNS:localhost", *addresses):
        assert name in extensions


def test_certificates_are_made_once(tmp_path: Path) -> None:
    paths = Paths(cache=tmp_path / "cache", state=tmp_path / "state")

    assert pki.create(paths) is True
    assert pki.create(paths) is False
    assert (paths.pki / "sa.key").stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("said", "version"),
    [("go version go1.26.8 linux/amd64", (1, 26)), ("go version go1.27rc1 linux/arm64", (1, 27)), ("?", (0, 0))],
)
def test_the_toolchain_is_told_by_what_it_says(said: str, version: tuple[int, int]) -> None:
    assert toolchain.parse_version(said) == version


def test_only_our_own_released_volumes_are_recycled() -> None:
    def volume(name: str, phase: str) -> dict[str, object]:
        return {"metadata": {"name": name}, "status": {"phase": phase}}

    listed = [
        volume("devcluster-00", "Released"),
        volume("devcluster-01", "Bound"),
        volume("devcluster-02", "Available"),
        volume("of-somebody-else", "Released"),
    ]

    assert volumes.released(listed) == ["devcluster-00"]


def test_the_storage_class_is_the_default_and_binds_at_once() -> None:
    rendered = volumes.storage_class()

    assert rendered["metadata"]["annotations"]["storageclass.kubernetes.io/is-default-class"] == "true"
    assert rendered["volumeBindingMode"] == "Immediate"


def test_an_unknown_part_is_refused_with_the_known_ones() -> None:
    with pytest.raises(DevclusterError, match="the parts are etcd, apiserver"):
        parts.by_name("apisever")


@pytest.mark.parametrize("verb", ["up", "down", "env", "status", "images", "recycle-volumes"])
def test_every_verb_needs_no_argument(verb: str) -> None:
    assert callable(cli.parser().parse_args([verb]).verb)


@pytest.mark.parametrize("verb", ["logs", "start", "stop", "restart"])
def test_verbs_for_one_part_take_its_name(verb: str) -> None:
    assert cli.parser().parse_args([verb, "apiserver"]).part == "apiserver"
