"""Settings come from flags, environment, files and defaults, and say where each came from."""

from pathlib import Path

import pytest

from optimizer.problem import Policy
from suanwang.errors import BadInput
from suanwang.settings import Loaded, load
from suanwang.settings.keys import keys, variable
from suanwang.settings.page import page


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder and home, so that no file of this machine is read."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))
    (tmp_path / "home" / "suanwang").mkdir(parents=True)
    return tmp_path


def write_project_file(folder: Path, text: str) -> Path:
    path = folder / "suanwang.yaml"
    path.write_text(text)
    return path


def write_user_file(folder: Path, text: str) -> Path:
    path = folder / "home" / "suanwang" / "config.yaml"
    path.write_text(text)
    return path


def test_without_any_layer_every_setting_is_a_default() -> None:
    loaded = load()
    assert set(loaded.origins.values()) == {"default"}
    assert loaded.settings.server.port == 8700


def test_each_layer_wins_over_those_below_it(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_user_file(
        folder, "server: {port: 1, host: user}\nclient: {url: user}\nlog: {level: error}"
    )
    write_project_file(folder, "server: {port: 2, host: project}\nclient: {url: project}")
    monkeypatch.setenv("SUANWANG_SERVER__PORT", "3")
    monkeypatch.setenv("SUANWANG_SERVER__HOST", "environment")
    settings = load({"server.port": 4}).settings
    assert settings.server.port == 4
    assert settings.server.host == "environment"
    assert settings.client.url == "project"
    assert settings.log.level == "error"


def test_every_value_knows_its_origin(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    user_file = write_user_file(folder, "client: {url: http://c}")
    write_project_file(folder, "scheduler:\n  policy: {carbon_yuan_per_kg: 0.5}")
    monkeypatch.setenv("SUANWANG_AGENT__EXECUTOR__KIND", "fake")
    origins = load({"log.style": "json", "log.level": None}).origins
    assert origins["client.url"] == f"file {user_file}"
    assert origins["scheduler.policy.carbon_yuan_per_kg"] == "file suanwang.yaml"
    assert origins["agent.executor.kind"] == "environment SUANWANG_AGENT__EXECUTOR__KIND"
    assert origins["log.style"] == "flag"
    assert origins["log.level"] == "default"
    assert list(origins) == list(keys())


@pytest.mark.parametrize(
    ("text", "key", "nearest"),
    [
        pytest.param("server: {prot: 1}", "server.prot", "server.port", id="in a group"),
        pytest.param("sevrer: {port: 1}", "sevrer", "server", id="a group"),
        pytest.param("log: {lease_s: 1}", "log.lease_s", "server.lease_s", id="elsewhere"),
        pytest.param(
            "agent: {executor: {adress: x}}",
            "agent.executor.adress",
            "agent.executor.address",
            id="deep",
        ),
    ],
)
def test_an_unknown_key_in_a_file_names_itself_the_file_and_the_nearest_key(
    folder: Path, text: str, key: str, nearest: str
) -> None:
    write_project_file(folder, text)
    with pytest.raises(BadInput, match=f"unknown setting {key} .file suanwang.yaml") as caught:
        load()
    assert caught.value.next_step == f"did you mean {nearest}?"


def test_an_unknown_variable_names_itself_and_the_nearest_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUANWANG_SERVER__PROT", "1")
    with pytest.raises(BadInput, match="environment SUANWANG_SERVER__PROT") as caught:
        load()
    assert caught.value.facts["nearest"] == "server.port"


def test_an_unknown_flag_is_a_mistake_too() -> None:
    with pytest.raises(BadInput, match=r"server\.prot"):
        load({"server.prot": 1})


@pytest.mark.parametrize("mark", ["SUANWANG_ATTEMPT", "SUANWANG_CLUSTER", "SUANWANG_RUN"])
def test_marks_that_the_product_sets_on_processes_are_no_settings(
    mark: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(mark, "x")
    assert load().settings.server.port == 8700


def test_sources_in_the_environment_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANWANG_AGENT__SOURCES", '[{"kind": "host", "name": "h"}]')
    assert load().settings.agent.sources == ({"kind": "host", "name": "h"},)


def test_broken_json_in_the_environment_is_bad_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANWANG_AGENT__SOURCES", "host")
    with pytest.raises(BadInput, match="JSON"):
        load()


def test_a_wrong_value_names_its_key_and_origin_but_not_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("SUANWANG_SERVER__PORT", "eighty")
    with pytest.raises(
        BadInput, match=r"server\.port .environment SUANWANG_SERVER__PORT"
    ) as caught:
        load()
    assert "eighty" not in caught.value.message


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("server: [1", "cannot be read", id="broken yaml"),
        pytest.param("- 1", "cannot be read", id="a list"),
        pytest.param("server: 5", "group of settings", id="a number for a group"),
    ],
)
def test_a_broken_file_is_bad_input_that_names_it(folder: Path, text: str, said: str) -> None:
    write_project_file(folder, text)
    with pytest.raises(BadInput, match=r"file suanwang\.yaml") as caught:
        load()
    assert said in caught.value.message


def test_an_empty_file_and_an_empty_group_change_nothing(folder: Path) -> None:
    write_user_file(folder, "")
    write_project_file(folder, "server:\nlog:\n  level:\n")
    assert set(load().origins.values()) == {"default"}


def test_a_named_file_takes_the_place_of_the_project_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_project_file(folder, "server: {port: 1}")
    named = folder / "other.yaml"
    named.write_text("server: {host: named}")
    monkeypatch.setenv("SUANWANG_CONFIG", str(named))
    for loaded in (load(), load(config=named)):
        assert loaded.settings.server.host == "named"
        assert loaded.settings.server.port == 8700


def test_a_named_file_that_is_not_there_is_bad_input(folder: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.yaml"):
        load(config=folder / "nowhere.yaml")


def test_secrets_are_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SUANWANG_CLIENT__API_KEY", "swk_verysecret")
    loaded: Loaded = load()
    assert loaded.text("client.api_key") == "(set)"
    assert loaded.text("agent.token") == ""
    assert "verysecret" not in repr(loaded)
    assert loaded.settings.client.api_key.get_secret_value() == "swk_verysecret"


def test_a_database_is_chosen_from_the_state_folder_unless_it_is_named() -> None:
    server = load({"server.state_dir": "/data"}).settings.server
    assert server.database == "sqlite:////data/suanwang.db"
    named = load({"server.database_url": "postgresql://db/x"}).settings.server
    assert named.database == "postgresql://db/x"


def test_the_weights_begin_as_the_planner_has_them() -> None:
    policy = load().settings.scheduler.policy
    assert {name: getattr(Policy(), name) for name in type(policy).model_fields} == (
        policy.model_dump()
    )


def test_every_setting_has_a_meaning_on_its_page() -> None:
    text = page()
    assert "None" not in text
    for key in keys():
        assert f"`{key}`" in text
        assert f"`{variable(key)}`" in text
