# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""What a run can see and reach: only what is listed for it, and no network.

Rules kept here:

* the file system is an allow-list built on an empty one; a path that nobody named does not exist inside;
* user code has its own process, network, IPC and host name spaces, no capability, no way to gain one, and another
  user id than the executor wherever the executor is root;
* everything or nothing: a step that fails raises, and the caller decides whether to run without a sandbox and say so.

Standard library only: this file runs inside the environment of the run, between fork and the user's first cell.
The order is ``separate_processes`` (then fork), ``build``, ``drop_privileges`` (then fork the kernel).
"""

from __future__ import annotations

import ctypes
import os
import signal
import struct
from dataclasses import dataclass
from pathlib import Path

CLONE_NEWNS, CLONE_NEWUTS, CLONE_NEWIPC = 0x00020000, 0x04000000, 0x08000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_BIND, MS_REC, MS_PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
MNT_DETACH = 2
ATTR_RDONLY, ATTR_NOSUID, ATTR_NODEV = 1, 2, 4
AT_FDCWD, AT_RECURSIVE = -100, 0x8000
SYS_MOUNT_SETATTR = 442
SYS_PIVOT_ROOT = {"x86_64": 155, "aarch64": 41}
PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP, PR_SET_NO_NEW_PRIVS = 1, 4, 24, 38
LAST_CAPABILITY = 63
CAPABILITY_VERSION_3 = 0x20080522

INSIDE_ID = 1000
"""User and group id of user code, as it sees itself."""

NOBODY = 65534
"""User and group id of user code, as the machine sees it, when the executor is root."""

SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32", "/sys/devices/system")
CONFIGURATION = ("alternatives", "fonts", "ld.so.cache", "localtime", "mime.types", "ssl/certs", "ssl/openssl.cnf")
DEVICES = ("null", "zero", "full", "random", "urandom")
WRITTEN = {
    "passwd": f"root:x:0:0:root:/root:/usr/sbin/nologin\nanimus:x:{INSIDE_ID}:{INSIDE_ID}:animus:/tmp:/bin/sh\n",
    "group": f"root:x:0:\nanimus:x:{INSIDE_ID}:\n",
    "hosts": "127.0.0.1 localhost\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}

_libc = ctypes.CDLL(None, use_errno=True)


@dataclass(frozen=True)
class View:
    """What a run sees beside the system's own programs.

    Attributes:
        read_only: Files and folders it may read.
        writable: Folders and sockets it may also write to.
        temporary: The folder it gets as ``/tmp``.
        shared_memory: Size of ``/dev/shm``, in bytes.
    """

    read_only: tuple[str, ...] = ()
    writable: tuple[str, ...] = ()
    temporary: str = ""
    shared_memory: int = 64 << 20


def separate_processes() -> None:
    """Put the children of this process into a process namespace of their own."""
    if os.geteuid() == 0:
        _unshare(CLONE_NEWPID)
    else:
        user, group = os.geteuid(), os.getegid()
        _unshare(CLONE_NEWUSER | CLONE_NEWPID)
        _map_ids(user, group)


def build(view: View) -> None:
    """Leave the machine's file system, network and names for ones that hold what ``view`` lists.

    Raises:
        OSError: If the machine does not allow a step.
    """
    listed = _resolved(view)
    _unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS)
    _set_host_name("animus")
    _mount("none", "/", "", MS_REC | MS_PRIVATE)
    stage = "/tmp"  # noqa: S108 - only a mount point, in a mount namespace of our own
    _mount("tmpfs", stage, "tmpfs", MS_NOSUID | MS_NODEV, "mode=755,size=16m")
    os.mkdir(f"{stage}/old")  # noqa: PTH102 - paths here are of another root than the interpreter's
    os.mkdir(f"{stage}/new")  # noqa: PTH102
    _pivot(stage, f"{stage}/old")
    os.chdir("/")
    _mount("/new", "/new", "", MS_BIND | MS_REC)
    _populate(view, listed)
    _pivot("/new", "/new/mnt")
    os.chdir("/")
    _check(_libc.umount2(b"/mnt", MNT_DETACH), "umount /mnt")
    _set_attributes("/", ATTR_RDONLY, recursive=False)


def _resolved(view: View) -> list[tuple[str, str, bool]]:
    """Say for every listed path where it shows and what is there, while links still lead where they should."""
    listed = [(path, True) for path in view.read_only] + [(path, False) for path in view.writable]
    places = {
        (shown, os.path.realpath(path), mode) for path, mode in listed for shown in (path, os.path.realpath(path))
    }
    return sorted(places)  # a folder before what is in it


def _populate(view: View, listed: list[tuple[str, str, bool]]) -> None:
    os.mkdir("/new/mnt")  # noqa: PTH102
    _proc_and_devices(view.shared_memory)
    for path in SYSTEM:
        _expose(path, read_only=True)
    _configuration()
    if view.temporary:
        _bind(view.temporary, "/tmp", read_only=False)  # noqa: S108
    for shown, source, read_only in listed:
        _bind(source, shown, read_only=read_only)


def _proc_and_devices(shared_memory: int) -> None:
    for folder in ("proc", "dev", "tmp", "etc", "run", "var"):
        os.mkdir(f"/new/{folder}")  # noqa: PTH102
    _mount("proc", "/new/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC)
    _mount("tmpfs", "/new/dev", "tmpfs", MS_NOSUID, "mode=755,size=1m")
    for device in DEVICES:
        _bind(f"/dev/{device}", f"/dev/{device}", read_only=False, attributes=ATTR_NOSUID)
    for name, target in {"fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2"}.items():
        os.symlink(target, f"/new/dev/{name}")  # noqa: PTH211
    os.mkdir("/new/dev/shm")  # noqa: PTH102
    _mount("tmpfs", "/new/dev/shm", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=1777,size={shared_memory}")
    os.mkdir("/new/dev/pts")  # noqa: PTH102
    _mount("devpts", "/new/dev/pts", "devpts", MS_NOSUID | MS_NOEXEC, "newinstance,ptmxmode=0666,mode=620")
    os.symlink("pts/ptmx", "/new/dev/ptmx")  # noqa: PTH211
    _set_attributes("/new/dev", ATTR_RDONLY | ATTR_NOSUID, recursive=False)


def _configuration() -> None:
    for name, text in WRITTEN.items():
        Path(f"/new/etc/{name}").write_text(text, encoding="utf-8")
    for name in CONFIGURATION:
        _expose(f"/etc/{name}", read_only=True)


def _expose(path: str, *, read_only: bool) -> None:
    """Show a path of the machine at the same path inside, if it exists; a link stays a link."""
    old = f"/old{path}"
    if not os.path.lexists(old):
        return
    if os.path.islink(old):  # noqa: PTH114
        os.makedirs(os.path.dirname(f"/new{path}"), exist_ok=True)  # noqa: PTH103, PTH120
        os.symlink(os.readlink(old), f"/new{path}")  # noqa: PTH115, PTH211
        return
    _bind(path, path, read_only=read_only)


def _bind(source: str, target: str, *, read_only: bool, attributes: int = ATTR_NOSUID | ATTR_NODEV) -> None:
    old, new = f"/old{source}", f"/new{target}"
    if not os.path.lexists(new):
        is_folder = os.path.isdir(old)  # noqa: PTH112
        os.makedirs(new if is_folder else os.path.dirname(new), exist_ok=True)  # noqa: PTH103, PTH120
        if not is_folder:
            os.close(os.open(new, os.O_CREAT | os.O_WRONLY, 0o644))
    _mount(old, new, "", MS_BIND | MS_REC)
    _set_attributes(new, attributes | (ATTR_RDONLY if read_only else 0), recursive=True)


def drop_privileges() -> None:
    """Become a user without rights, for good; a process that is root becomes nobody first."""
    if os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
        prctl(PR_SET_DUMPABLE, 1)  # or the id map below would belong to root
        # A user namespace of its own makes the limit on processes count this run's processes only.
        _unshare(CLONE_NEWUSER)
        _map_ids(NOBODY, NOBODY)
    # Who may make user namespaces reaches much more of the kernel than who may not.
    Path("/proc/sys/user/max_user_namespaces").write_text("0", encoding="utf-8")
    for capability in range(LAST_CAPABILITY + 1):
        _libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0)  # EINVAL beyond the last one this machine knows
    header = struct.pack("Ii", CAPABILITY_VERSION_3, 0)
    _check(_libc.capset(header, bytes(24)), "capset")
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def prctl(option: int, value: int) -> None:
    """Call ``prctl``, or raise OSError."""
    _check(_libc.prctl(option, value, 0, 0, 0), f"prctl {option}")


def missing() -> list[str]:
    """Try everything in a child and name the limitations a run on this machine would have."""
    child = os.fork()
    if child == 0:
        os._exit(0 if _probe() else 1)
    _, status = os.waitpid(child, 0)
    return [] if status == 0 else ["filesystem_not_isolated", "network_not_isolated"]


def _probe() -> bool:
    try:
        separate_processes()
        child = os.fork()
        if child == 0:
            status = 1
            try:
                build(View())
                drop_privileges()
                status = 0
            finally:
                os._exit(status)
        return os.waitpid(child, 0)[1] == 0
    except OSError:
        return False


def _map_ids(user: int, group: int) -> None:
    Path("/proc/self/setgroups").write_text("deny", encoding="utf-8")
    Path("/proc/self/gid_map").write_text(f"{INSIDE_ID} {group} 1", encoding="utf-8")
    Path("/proc/self/uid_map").write_text(f"{INSIDE_ID} {user} 1", encoding="utf-8")


def _set_host_name(name: str) -> None:
    _check(_libc.sethostname(name.encode(), len(name)), "sethostname")


def _unshare(flags: int) -> None:
    _check(_libc.unshare(flags), f"unshare {flags:#x}")


def _mount(source: str, target: str, kind: str, flags: int, data: str = "") -> None:
    arguments = [text.encode() for text in (source, target, kind)]
    _check(_libc.mount(*arguments, ctypes.c_ulong(flags), data.encode()), f"mount {target}")


def _set_attributes(path: str, attributes: int, *, recursive: bool) -> None:
    request = struct.pack("QQQQ", attributes, 0, 0, 0)
    flags = AT_RECURSIVE if recursive else 0
    result = _libc.syscall(SYS_MOUNT_SETATTR, AT_FDCWD, path.encode(), flags, request, ctypes.c_size_t(len(request)))
    _check(result, f"mount_setattr {path}")


def _pivot(new: str, old: str) -> None:
    number = SYS_PIVOT_ROOT.get(os.uname().machine)
    if number is None:
        raise OSError(0, f"no sandbox on {os.uname().machine}")
    _check(_libc.syscall(number, new.encode(), old.encode()), f"pivot_root {new}")


def _check(result: int, what: str) -> None:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")


def die_with_parent() -> None:
    """Have this process killed when its parent ends."""
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
