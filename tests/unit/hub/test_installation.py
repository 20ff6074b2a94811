# SPDX-FileCopyrightText: Animus Datalab contributors
# SPDX-License-Identifier: Apache-2.0
"""The data folder is private, its secrets are made once, its ports are free."""

import hashlib
import socket
from pathlib import Path

import pytest

from animus_hub.installation import LOOPBACK, Installation


@pytest.fixture(name="place")
def _place(tmp_path: Path) -> Installation:
    place = Installation(tmp_path / "data")
    place.prepare()
    return place


def test_nobody_else_may_look_into_the_folders(place: Installation) -> None:
    folders = [place.data, place.workspaces, place.repositories, place.data / "secrets"]
    assert {folder.stat().st_mode & 0o777 for folder in folders} == {0o700}


def test_a_secret_is_made_once_and_is_its_owners_alone(place: Installation) -> None:
    first = place.secret_file("token").read_text()
    assert place.secret_file("token").read_text() == first
    assert len(first) == 64
    assert place.secret_file("token").stat().st_mode & 0o777 == 0o600
    assert place.secret_file("other").read_text() != first


def test_those_who_only_check_a_secret_get_its_digest(place: Installation) -> None:
    secret = place.secret_file("token").read_bytes()
    assert place.secret_digest("token") == "sha256:" + hashlib.sha256(secret).hexdigest()


def test_ports_are_different_and_stay_while_they_are_free(place: Installation) -> None:
    ports = place.choose_ports()
    assert len({ports.public, ports.hub, ports.proxy, ports.control}) == 4
    assert place.choose_ports() == ports


def test_a_busy_port_is_replaced_by_a_free_one(place: Installation) -> None:
    ports = place.choose_ports()
    with socket.create_server((LOOPBACK, ports.hub)):
        again = place.choose_ports()
    assert again.hub != ports.hub
    assert (again.proxy, again.control) == (ports.proxy, ports.control)


def test_a_public_port_that_was_asked_for_is_never_another(place: Installation) -> None:
    with socket.create_server((LOOPBACK, 0)) as busy, pytest.raises(OSError, match="in use"):
        place.choose_ports(busy.getsockname()[1])


def test_a_damaged_record_of_ports_does_no_harm(place: Installation) -> None:
    place.ports_file.write_text("{")
    assert place.choose_ports().control > 0


@pytest.mark.parametrize(
    ("environment", "data"),
    [
        ({"ANIMUS_DATA": "/srv/animus"}, "/srv/animus"),
        ({"XDG_DATA_HOME": "/x"}, "/x/animus"),
        ({"ANIMUS_DATA": "", "XDG_DATA_HOME": "/x"}, "/x/animus"),
    ],
)
def test_the_environment_names_the_folder(environment: dict[str, str], data: str) -> None:
    assert Installation.from_environment(environment).data == Path(data)
