# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""``python -m animus_hub``: start an installation, keep its accounts, show the demo.

This process becomes JupyterHub, or the program that does what is asked for; it starts no other. What people do with
the installation is done as people do it, by programs of their own zone.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import sys
from pathlib import Path

from animus_hub.installation import DATA_VARIABLE, PORT_VARIABLE, Installation
from animus_hub.shutdown import end_workspaces, stop_hub
from animus_hub.users import UsersFile, generate_password

FIRST_USERS = {"ann": True, "ed": False, "vic": False}
"""The accounts of a new installation, and whether each administers the platform."""


def main(arguments: list[str] | None = None) -> None:
    """Run the command."""
    given = sys.argv[1:] if arguments is None else arguments
    if given[:1] == ["demo"]:
        # The demo is a user of the product and runs in the user's zone.
        os.execv(sys.executable, [sys.executable, "-m", "animus.demo", *given[1:]])  # noqa: S606 - no shell, fixed program
    chosen = _parser().parse_args(given)
    place = Installation(chosen.data.absolute()) if chosen.data else Installation.from_environment(os.environ)
    if chosen.command == "down":
        stop_for_good(place)
        return
    place.prepare()
    if chosen.command == "passwords":
        show_passwords(place, as_json=chosen.json)
        return
    if not place.users_file.exists():
        show_passwords(place)
    become_hub(place, chosen.port)


def show_passwords(place: Installation, *, as_json: bool = False) -> None:
    """Give the first accounts new passwords and print them, which happens once: only hashes are kept."""
    users = UsersFile(place.users_file)
    passwords = {name: generate_password() for name in FIRST_USERS}
    for name, password in passwords.items():
        users.put(name, password, admin=FIRST_USERS[name])
    shown = "\n".join(f"  {name:4} {password}" for name, password in passwords.items())
    text = json.dumps(passwords) if as_json else f"Accounts (the passwords are shown once and not kept):\n{shown}"
    print(text, flush=True)  # noqa: T201 - this is the command's output


def stop_for_good(place: Installation) -> None:
    """Stop everything, say what was ended, and become the program that ends what the executor has left."""
    if not place.ports_file.exists():
        print(f"There is no installation in {place.data}.")  # noqa: T201 - this is the command's output
        return
    said = "Stopped the Hub." if stop_hub(place) else "No Hub was running."
    if processes := end_workspaces(place):
        said += f" Ended {processes} processes of workspaces that it had left."
    print(said, flush=True)  # noqa: T201 - as above
    os.execv(sys.executable, [sys.executable, "-m", "animus_executor", "end", str(place.executor)])  # noqa: S606 - no shell, fixed program


def become_hub(place: Installation, port: int | None) -> None:
    """Replace this process by JupyterHub with the local preset."""
    lock_installation(place)
    environment = os.environ | {DATA_VARIABLE: str(place.data)} | ({PORT_VARIABLE: str(port)} if port else {})
    config = Path(__file__).with_name("jupyterhub_config.py")
    os.chdir(place.data)
    os.execve(sys.executable, [sys.executable, "-m", "jupyterhub", "-f", str(config)], environment)  # noqa: S606 - no shell, fixed program


def lock_installation(place: Installation) -> None:
    """Hold the data folder for this process and what it becomes; the lock ends with the process, however that ends.

    Raises:
        SystemExit: If another process holds it.
    """
    descriptor = os.open(place.lock_file, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"animus: already_running: an installation runs in {place.data} - stop it, or choose another --data")
    os.ftruncate(descriptor, 0)
    os.write(descriptor, str(os.getpid()).encode())
    os.set_inheritable(descriptor, True)  # noqa: FBT003 - the function takes it by position


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="animus", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    up = commands.add_parser("up", help="start Hub, control plane and executor on this machine")
    up.add_argument("--port", type=int, help="port for browsers (default: the last one, or any free one)")
    passwords = commands.add_parser("passwords", help="give the first accounts new passwords and print them")
    passwords.add_argument("--json", action="store_true", help="print them as JSON")
    down = commands.add_parser("down", help="stop it for good: the Hub, and the runs that outlived it or would")
    for command in (up, passwords, down):
        command.add_argument("--data", type=Path, help="data folder (default: $ANIMUS_DATA)")
    commands.add_parser("demo", help="start an installation and show what it does (see demo --help)")
    return parser


if __name__ == "__main__":
    main()
