"""Addresses, the bridge, kernel settings and firewall chains: made at the start, undone at the end.

Everything lies in 198.18.0.0/15, kept for benchmarks by RFC 2544 and routed nowhere, so nothing listens outside.
"""

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from devcluster.commands import run, succeeds
from devcluster.paths import Paths

NODE_NAME = "devnode"
NODE_ADDRESS = "198.18.0.1"
POD_RANGE = "198.18.0.0/16"
NODE_POD_RANGE = "198.18.0.0/24"
SERVICE_RANGE = "198.19.0.0/16"
API_SERVICE = "198.19.0.1"
BRIDGE = "plimsoll0"

# Set by us, by kubelet or by kube-proxy while the cluster is up; the values found before are put back.
KERNEL_SETTINGS = [
    "net/ipv4/ip_forward",
    "net/ipv4/conf/all/route_localnet",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
    "kernel/panic",
    "kernel/panic_on_oops",
    "kernel/keys/root_maxkeys",
    "kernel/keys/root_maxbytes",
]
SERVICES_INSIDE = f"""\
*filter
:DEVCLUSTER - [0:0]
-A DEVCLUSTER -d {SERVICE_RANGE} -j REJECT
-A FORWARD -j DEVCLUSTER
-A OUTPUT -j DEVCLUSTER
COMMIT
"""
OUR_CHAINS = re.compile(r"^(KUBE-|CNI-|DEVCLUSTER$)")


def bring_up(paths: Paths) -> None:
    """Create the bridge that carries the node's address and let packets through; what was before is recorded."""
    record = paths.state / "host-before.json"
    if not record.exists():
        firewall = {tool: run([f"{tool}-save"]) for tool in ("iptables", "ip6tables")}
        record.write_text(json.dumps({"kernel": _kernel_settings(), "firewall": firewall}))
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")
    if not bridge_exists():
        run(["ip", "link", "add", BRIDGE, "type", "bridge"])
        run(["ip", "address", "add", f"{NODE_ADDRESS}/24", "dev", BRIDGE])
    run(["ip", "link", "set", BRIDGE, "up"])
    _keep_services_inside()


def _keep_services_inside() -> None:
    """Refuse what is sent to a Service before kube-proxy has written its rules: it would leave the machine, and may be
    answered by whoever is there."""
    if not succeeds(["iptables", "--numeric", "--list", "DEVCLUSTER"]):
        run(["iptables-restore", "--noflush"], stdin=SERVICES_INSIDE)  # all of it or nothing


def bridge_exists() -> bool:
    return succeeds(["ip", "link", "show", BRIDGE])


def take_down(paths: Paths) -> None:
    """Remove the bridge, its veths and the chains of kube-proxy and the CNI plugins; restore kernel settings."""
    if bridge_exists():
        for link in json.loads(run(["ip", "-json", "link", "show", "master", BRIDGE]) or "[]"):
            succeeds(["ip", "link", "delete", link["ifname"]])  # its pod's end may take it away first
        run(["ip", "link", "delete", BRIDGE])
    record = paths.state / "host-before.json"
    if not record.exists():
        return
    before = json.loads(record.read_text())
    for tool, dump in before["firewall"].items():
        _restore_firewall(tool, dump)
    for name, value in before["kernel"].items():
        setting = Path("/proc/sys") / name
        if setting.read_text().strip() != value:
            setting.write_text(value)


def _restore_firewall(tool: str, before: str) -> None:
    script = chain_removal(run([f"{tool}-save"]), keep=_chain_names(before))
    if script:
        run([f"{tool}-restore", "--noflush"], stdin=script)
    for table in untouched_tables(before, run([f"{tool}-save"])):
        # Without a name it removes the built-in chains too, as long as they are empty and accept.
        succeeds([tool, "--table", table, "--delete-chain"])


def untouched_tables(before: str, now: str) -> list[str]:
    """Tables that came into being since ``before`` and hold nothing now; both are ``iptables-save`` dumps."""
    old = {table for table, _ in _tables(before)}
    return [
        table
        for table, lines in _tables(now)
        if table not in old and all(line.startswith(":") and " ACCEPT " in line for line in lines)
    ]


def _kernel_settings() -> dict[str, str]:
    present = [name for name in KERNEL_SETTINGS if Path("/proc/sys", name).exists()]
    return {name: Path("/proc/sys", name).read_text().strip() for name in present}


def _chain_names(dump: str) -> set[str]:
    return {line[1:].split()[0] for line in dump.splitlines() if line.startswith(":")}


def chain_removal(dump: str, keep: Iterable[str] = ()) -> str:
    """Turn an ``iptables-save`` dump into an ``iptables-restore --noflush`` script that removes our chains.

    Only our own chain and those of kube-proxy, kubelet and the CNI plugins go, with the rules that jump to them; those
    named in ``keep`` stay. Empty when there is nothing to remove.
    """
    kept = set(keep)
    ours = {name for name in _chain_names(dump) if OUR_CHAINS.match(name)} - kept
    script: list[str] = []
    for table, lines in _tables(dump):
        chains = [name for name in _chain_names("\n".join(lines)) if name in ours]
        jumps = [line for line in lines if line.startswith("-A ") and _jumps_into(line, ours)]
        if not chains:
            continue
        script.append(f"*{table}")
        script += [line.replace("-A ", "-D ", 1) for line in jumps]
        script += [f"-F {name}" for name in sorted(chains)]
        script += [f"-X {name}" for name in sorted(chains)]
        script.append("COMMIT")
    return "\n".join(script) + "\n" if script else ""


def _jumps_into(rule: str, ours: set[str]) -> bool:
    words = rule.split()
    if words[1] in ours:
        return False  # flushed with its chain
    return any(word in ours for flag, word in pairwise(words) if flag in ("-j", "-g"))


def _tables(dump: str) -> Iterable[tuple[str, list[str]]]:
    name = ""
    lines: list[str] = []
    for line in dump.splitlines():
        if line.startswith("*"):
            name, lines = line[1:], []
        elif line == "COMMIT":
            yield name, lines
        else:
            lines.append(line)
