"""A SLURM of one machine, for tests: two CPUs, no accounting, started and stopped by the test that wants it.

Snakemake's plugin does not pass SLURM_CONF on, so the configuration has to be /etc/slurm/slurm.conf. One that something
else has put there is left alone, and no SLURM is started.
"""

import os
import shutil
import socket
import subprocess
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path

import yaml

from braintune.core.study import PROFILES

CONFIGURATION = Path("/etc/slurm/slurm.conf")
MARK = "# written by the tests of braintune; they remove it again"
PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/sbin"])


def why_not():
    """Why no SLURM can be started here; nothing where one can."""
    if missing := [name for name in PROGRAMS if shutil.which(name, path=PATH) is None]:
        return f"{missing[0]} is not there: on Debian, apt install slurm-wlm munge"
    if os.geteuid() != 0:
        return f"only root can start SLURM and write {CONFIGURATION}"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text(encoding="utf-8").startswith(MARK):
        return f"{CONFIGURATION} is there: this machine belongs to a cluster, which is left alone"
    if CONFIGURATION.exists() and "is UP" in _answer("scontrol", "ping"):
        return "a SLURM that another test has started is running"
    return ""


def _free_ports(n):
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(n)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _configuration(folder, cpus, memory):
    host = socket.gethostname().split(".")[0]
    controller, node = _free_ports(2)
    return "\n".join([
        MARK,
        "ClusterName=loopback",
        f"SlurmctldHost={host}(127.0.0.1)",
        f"SlurmctldPort={controller}",
        f"SlurmdPort={node}",
        "SlurmUser=root",
        f"AuthInfo=socket={folder}/munge.socket",
        f"StateSaveLocation={folder}/state",
        f"SlurmdSpoolDir={folder}/spool",
        f"SlurmctldPidFile={folder}/slurmctld.pid",
        f"SlurmdPidFile={folder}/slurmd.pid",
        f"SlurmctldLogFile={folder}/slurmctld.log",
        f"SlurmdLogFile={folder}/slurmd.log",
        "ProctrackType=proctrack/linuxproc",
        "TaskPlugin=task/none",
        "SelectType=select/cons_tres",
        "SelectTypeParameters=CR_CPU_Memory",
        "AccountingStorageType=accounting_storage/none",
        "JobAcctGatherType=jobacct_gather/none",
        "MpiDefault=none",
        "ReturnToService=2",
        "MinJobAge=600",
        "SchedulerParameters=sched_interval=2,batch_sched_delay=1",
        f"NodeName={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN",
        "PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP",
        "",
    ])  # fmt: skip


@contextmanager
def _daemon(*words):
    """A program in the foreground, ended with the block."""
    process = subprocess.Popen(
        words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=os.environ | {"PATH": PATH}
    )
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait_until(fact, seconds, what):
    end = time.monotonic() + seconds
    while not fact():
        if time.monotonic() > end:
            raise TimeoutError(f"{what} is not ready after {seconds} s")
        time.sleep(0.2)


def _answer(*words):
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | {"PATH": PATH}).stdout


@contextmanager
def loopback_slurm(folder, cpus=2, memory=8000):
    """Start a SLURM on this machine, keeping its state in `folder`; stop it, and remove its configuration, at the end."""
    assert not why_not(), why_not()
    for name in ("state", "spool"):
        (folder / name).mkdir(parents=True)
    key = folder / "munge.key"
    key.write_bytes(os.urandom(1024))
    key.chmod(0o400)
    munge = [
        f"--{name}={folder}/munge.{name.removesuffix('-file')}"
        for name in ("key-file", "pid-file", "log-file", "seed-file")
    ]
    with ExitStack() as stack:
        CONFIGURATION.parent.mkdir(exist_ok=True)
        CONFIGURATION.write_text(_configuration(folder, cpus, memory), encoding="utf-8")
        stack.callback(CONFIGURATION.unlink)
        stack.enter_context(_daemon("munged", "--foreground", "--force", f"--socket={folder}/munge.socket", *munge))
        _wait_until((folder / "munge.socket").exists, 20, "munged")
        stack.enter_context(_daemon("slurmctld", "-D"))
        stack.enter_context(_daemon("slurmd", "-D"))
        _wait_until(lambda: _answer("sinfo", "-h", "-o", "%T").strip() == "idle", 60, "slurmd")
        yield


def loopback_engine(path):
    """Write the engine's file of the project, changed to what this SLURM has: no GPU, no accounts, two jobs, no waiting."""
    options = yaml.safe_load((PROFILES / "slurm.yml").read_text(encoding="utf-8"))
    del options["set-resources"]
    options |= {
        "jobs": 2,
        "latency-wait": 10,
        "retries": 0,
        "seconds-between-status-checks": 2,
        "slurm-init-seconds-before-status-checks": 2,
        "slurm-status-command": "squeue",
        "slurm-no-account": True,
    }
    path.write_text(yaml.safe_dump(options), encoding="utf-8")
    return path
