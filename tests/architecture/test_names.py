"""Our packages have plain names, so no other distribution may carry one of them."""

import subprocess
from importlib.metadata import packages_distributions

import pytest
from checkout import ROOT, files, packages, pyproject


def test_each_top_level_folder_with_code_is_one_of_the_named_packages() -> None:
    folders = {path.relative_to(ROOT).parts[0] for path in files() if path.name == "__init__.py"}
    assert folders == set(packages())


def test_every_package_is_installed_typed_and_watched() -> None:
    tool = pyproject()["tool"]
    included = {name.rstrip("*") for name in tool["setuptools"]["packages"]["find"]["include"]}
    assert included == set(packages())
    assert set(tool["mypy"]["files"]) == {*packages(), "tests"}


@pytest.mark.parametrize("name", packages())
def test_no_other_distribution_installs_a_package_of_our_name(name: str) -> None:
    owners = set(packages_distributions().get(name, []))
    assert owners <= {"suanwang"}, f"{owners} would overwrite our {name}"


def test_no_folder_of_tests_is_a_package() -> None:
    # Otherwise tests/scheduler would take the name scheduler.
    assert not list((ROOT / "tests").rglob("__init__.py"))


def test_scripts_may_be_executed() -> None:
    for script in ("scripts/setup", ".ci/run"):
        assert (ROOT / script).stat().st_mode & 0o111, script
        subprocess.run(["bash", "-n", str(ROOT / script)], check=True)
