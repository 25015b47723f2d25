"""gateway.toml.d: files that go together with gateway.toml, with the same checks."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from gateway import config
from gateway.config import ConfigurationErrors
from gateway.config.choices import Mode
from gateway.config.sources import FILE_LIMIT, FOLDER_LIMIT, joined, parse

ON = '[socketmap]\nlisten = ["unix:/run/s"]\n'


def write(tmp_path: Path, text: str, **drop_ins: str) -> str:
    """A gateway.toml and files of its folder; the path of the former."""
    path = tmp_path / "gateway.toml"
    path.write_text(text)
    folder = tmp_path / "gateway.toml.d"
    folder.mkdir()
    for name, content in drop_ins.items():
        (folder / f"{name}.toml").write_text(content)
    return str(path)


def problems(path: str) -> list[str]:
    """The lines of the error that the configuration raises, without the folder's name."""
    with pytest.raises(ConfigurationErrors) as caught:
        config.load(path)
    return [
        line.removeprefix(os.path.dirname(path) + "/") for line in str(caught.value).splitlines()
    ]


def test_later_files_outdo_earlier_ones(tmp_path: Path) -> None:
    """Key by key: tables go together, a list is replaced."""
    path = write(
        tmp_path,
        'workers = 2\n[socketmap]\nlisten = ["unix:/run/s"]\n[scope]\ndomains = ["a.org"]\n',
        a='mode = "observe"\n[scope]\ndomains = ["b.org"]\n',
        b='mode = "enforce"\n[replies.denied]\ntext = "no"\n',
    )
    found = config.load(path)
    assert found.general.workers == 2
    assert found.general.mode is Mode.ENFORCE
    assert found.scope.domains == ("b.org",)
    assert found.file == path
    places = {key: (os.path.basename(each.file), each.line) for key, each in found.places.items()}
    assert places["workers"] == ("gateway.toml", 1)
    assert places["mode"] == ("b.toml", 1)
    assert places["scope"] == ("gateway.toml", 4)
    assert places["scope.domains"] == ("a.toml", 3)
    assert {"mode", "scope.domains", "replies.denied.text"} <= found.given


def test_order_is_that_of_bytes(tmp_path: Path) -> None:
    """Whatever the locale; capitals come first."""
    path = write(tmp_path, ON, **{"10": "workers = 1", "9": "workers = 2", "B": "workers = 3"})
    assert config.load(path).general.workers == 3


def test_what_is_no_toml_by_its_name_is_left_alone(tmp_path: Path) -> None:
    """What editors and dpkg leave behind, and hidden files."""
    path = write(tmp_path, ON)
    for name in ("a.toml~", "a.toml.dpkg-dist", ".a.toml", "README"):
        (tmp_path / "gateway.toml.d" / name).write_text("wurkers = 1")
    assert config.load(path) == config.loads(ON.encode(), path)


def test_every_problem_names_its_file_and_line(tmp_path: Path) -> None:
    """In the order in which they are read."""
    path = write(
        tmp_path,
        'wurkers = 1\n[policy]\nlisten = ["unix:/run/p"]\n',
        a='\nworkers = "4"\n',
        b='[policy]\nmode = "maybe"\nlisten = ["unix:/run/q"]\n',
    )
    found = problems(path)
    assert found[0].startswith("gateway.toml:1: wurkers: unknown setting")
    assert found[1].startswith("gateway.toml.d/a.toml:2: workers: must be a whole number")
    assert found[2].startswith("gateway.toml.d/b.toml:2: policy.mode: ")
    assert found[3].startswith("gateway.toml")
    assert len(found) == 4


def test_a_check_of_several_settings_names_the_file_that_has_the_key(tmp_path: Path) -> None:
    """A socket that serves twice, in two files."""
    path = write(tmp_path, ON, a='[admin]\nlisten = ["unix:/run/s"]\n')
    assert problems(path)[0].startswith("gateway.toml.d/a.toml:2: admin.listen: ")


def test_files_that_are_no_toml_are_told_all(tmp_path: Path) -> None:
    """Each with its line."""
    path = write(tmp_path, ON, a="workers = \n", b="x = 1", c="[socketmap\n")
    found = problems(path)
    assert [line.partition(" ")[0] for line in found] == [
        "gateway.toml.d/a.toml:1:",
        "gateway.toml.d/c.toml:1:",
    ]


def test_what_cannot_be_read(tmp_path: Path) -> None:
    """A link to nowhere, a folder, a file that is too long, a folder that is a file."""
    path = write(tmp_path, ON)
    bad = tmp_path / "gateway.toml.d" / "a.toml"
    bad.symlink_to("/nowhere")
    assert problems(path) == [
        "gateway.toml.d/a.toml: cannot be read: No such file or directory; "
        "let the user that starts the gateway read it"
    ]
    bad.unlink()
    bad.mkdir()
    assert "gateway.toml.d/a.toml: " in problems(path)[0]
    bad.rmdir()
    bad.write_bytes(b"#" * (FILE_LIMIT + 1))
    assert "gateway.toml.d/a.toml: " in problems(path)[0]
    bad.unlink()
    bad.parent.rmdir()
    bad.parent.write_text("")
    assert problems(path)[0].startswith("gateway.toml.d: cannot be read: Not a directory")


def test_too_many_files(tmp_path: Path) -> None:
    """It is another folder by mistake."""
    path = write(tmp_path, ON, **{str(number): "" for number in range(FOLDER_LIMIT + 1)})
    assert problems(path)[0].startswith(f"gateway.toml.d: holds {FOLDER_LIMIT + 1} files")


@pytest.mark.parametrize("contents", [[b"a = 1"], [b"a = 1", b""], [b"", b"b = '\xc3\xa9'\n"]])
def test_files_travel_as_one(contents: list[bytes]) -> None:
    """What a child of the supervisor gets is what was read; one file is its own bytes."""
    parts = [(f"/etc/{number}\u00e9.toml", each) for number, each in enumerate(contents)]
    data = joined(parts)
    assert (data == contents[0]) == (len(contents) == 1)
    for index, (file, content) in enumerate(parts):
        for key in parse(content, file).values:
            assert parse(data, parts[0][0]).places[key] == (
                type(parse(data, file).places[key])(index, file, 1)
            )


def test_a_file_that_begins_with_a_nul_is_no_configuration(tmp_path: Path) -> None:
    """However much it looks like several of ours."""
    path = tmp_path / "gateway.toml"
    path.write_bytes(joined([("a", b"workers = 1"), ("b", ON.encode())]))
    with pytest.raises(ConfigurationErrors) as caught:
        config.load(str(path))
    assert "is not TOML" in str(caught.value)
