"""platform.yaml: every mistake is named by key and line."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from config import ROOT, ConfigError, ManagedCollision, Transfer, load_config

SHIPPED = (ROOT / "platform.yaml").read_text()


def line_of(text: str) -> int:
    return next(n for n, line in enumerate(SHIPPED.splitlines(), 1) if text in line)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "loss_weight: 1.0",
            "loss_weigth: 1.0",
            "transfer.loss_weigth: unknown key; allowed here: soft_label",
        ),
        ("codes: {dim: 32", "codes: {dim: wide", "foundation_model.codes.dim: Input should be a valid integer"),
        ("codes: {dim: 32", "codes: {dim: 0", "foundation_model.codes.dim: Input should be greater than 0, found 0"),
        (
            "training: {processes: 1",
            "training: {nodes: 2, processes: 1",
            "foundation_model.training: nodes: 2 needs rendezvous: host:port",
        ),
        (
            "training: {processes: 1",
            "training: {rendezvous: 'gpu-1:29400', processes: 1",
            "foundation_model.training: rendezvous is where several machines meet: give nodes",
        ),
        (
            "training: {processes: 1",
            "training: {nodes: 2, rendezvous: gpu-1, processes: 1",
            "foundation_model.training.rendezvous: String should match pattern",
        ),
        (
            "restarts: 3",
            "restarts: -1",
            "foundation_model.training.restarts: Input should be greater",
        ),
        (
            "eval_fraction: 0.2",
            "eval_fraction: 0.6",  # its rows would reach into the half that the first day learns before it is scored
            "foundation_model.eval_fraction: Input should be less than or equal to 0.5, found 0.6",
        ),
        ("device: auto", "device: tpu", "runtime.device: Input should be 'auto', 'cpu' or 'cuda', found 'tpu'"),
        ("  min_rows: 100", "  min_row: 100", "gates.min_row: unknown key"),
        ("history_days: 30\n  user", "history_days: 3\n  user", "windows_days [1, 7, 30] reach beyond history_days 3"),
        ("calibration: [0.8, 1.25]", "calibration: [1.3, 1.25]", "0 <= low < high"),
        ("data_source: complete_journey", "data_source: nowhere", "data_source 'nowhere' has no entry under sources"),
        ("meat: {column: department, values: [MEAT]}", "meat: {}", "both take the rest"),
        ("meat: {column: department, values: [MEAT]}", "meat: {column: department}", "give both column and values"),
        (
            "time_zone: Asia/Shanghai",
            "time_zone: Europe/Berln",
            "sources.kuairand.time_zone: unknown time zone 'Europe/Berln'; write an IANA name, such as Europe/Berlin",
        ),
        (
            "time_zone: Asia/Shanghai",
            "time_zone: localtime",
            "sources.kuairand.time_zone: unknown time zone 'localtime'",
        ),
        ("time_zone: Asia/Shanghai", "time_zone: +08:00", "sources.kuairand.time_zone: unknown time zone '+08:00'"),
        ("bootstrap_days: 8\n    hist", "bootstrap_days: 80\n    hist", "bootstrap_days reaches beyond last_day"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, old: str, new: str, message: str):
    assert old in SHIPPED
    path = tmp_path / "platform.yaml"
    path.write_text(SHIPPED.replace(old, new, 1))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert message in str(error.value)


def test_the_line_is_the_keys(tmp_path: Path):
    path = tmp_path / "platform.yaml"
    path.write_text(SHIPPED.replace("  loss_weight:", "  loss_weigth:"))
    with pytest.raises(ConfigError, match=rf"platform.yaml:{line_of('  loss_weight:')}: transfer.loss_weigth"):
        load_config(path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("processes: 2", "training.processes"),
        ("precision: bf16", "training.precision"),
        ("compile: true", "training.compile"),
        ("checkpoint_minutes: 5", "training.checkpoint_minutes"),
        ("code_dim: 16", "codes.dim"),
        ("code_prefixes: [8]", "codes.prefixes"),
        ("code_alignment: none", "codes.alignment"),
    ],
)
def test_a_key_that_has_moved_says_where_to(tmp_path: Path, old: str, new: str):
    path = tmp_path / "platform.yaml"
    path.write_text(SHIPPED.replace("  eval_fraction: 0.2", f"  {old}"))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    key, line = f"foundation_model.{old.split(':')[0]}", line_of("  eval_fraction: 0.2")
    assert str(error.value) == f"{path}:{line}: {key}: has moved to foundation_model.{new}"


def test_an_unknown_time_zone_is_refused_with_its_line(tmp_path: Path):
    path = tmp_path / "platform.yaml"
    path.write_text(SHIPPED.replace("time_zone: Asia/Shanghai", "time_zone: Asia/Shangai", 1))
    with pytest.raises(ConfigError, match=rf"platform.yaml:{line_of('time_zone: Asia/Shanghai')}: .* Asia/Shanghai$"):
        load_config(path)


def test_an_offset_of_hours_is_answered_with_time_zone_and_the_line(tmp_path: Path):
    path = tmp_path / "platform.yaml"
    path.write_text(SHIPPED.replace("time_zone: Asia/Shanghai", "utc_offset_hours: 8", 1))
    with pytest.raises(ConfigError) as error:
        load_config(path)
    assert str(error.value) == (
        f"{path}:{line_of('time_zone: Asia/Shanghai')}: sources.kuairand.utc_offset_hours: has moved to "
        "sources.kuairand.time_zone: write the zone's name, as in Europe/Berlin"
    )


@pytest.mark.parametrize(("text", "message"), [("a: [", "not valid YAML"), ("just text", "expected a mapping")])
def test_files_that_are_no_mapping(tmp_path: Path, text: str, message: str):
    path = tmp_path / "platform.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_config(path)


def test_a_missing_file_says_what_to_do(tmp_path: Path):
    with pytest.raises(ConfigError, match="no such file; give --config"):
        load_config(tmp_path / "none.yaml")


def test_the_environment_chooses_source_and_path(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADWATER_SOURCE", "kuairand")
    monkeypatch.setenv("HEADWATER_DATA_PATH", "/data/kuairand")
    config = load_config(ROOT / "platform.yaml")
    assert (config.data_source, config.source.path) == ("kuairand", "/data/kuairand")


def test_a_source_may_have_another_foundation_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    tree = yaml.safe_load(SHIPPED)
    own = {"architecture": "dcnv2", "hyperparameters": {"rank": 8}, "optimizer": {"embedding_learning_rate": 0.01}}
    tree["sources"]["kuairand"]["foundation_model"] = own
    path = tmp_path / "platform.yaml"
    path.write_text(yaml.safe_dump(tree))
    monkeypatch.setenv("HEADWATER_SOURCE", "movielens")
    shipped = load_config(ROOT / "platform.yaml")
    assert load_config(path).foundation_model == shipped.foundation_model
    monkeypatch.setenv("HEADWATER_SOURCE", "kuairand")
    config = load_config(path)
    assert config.foundation_model == shipped.foundation_model.changed(**own)
    # It is in force once: what is changed afterwards stays, also in a copy that another process reads.
    changed = config.changed(foundation_model={"architecture": "dlrm", "hyperparameters": {}})
    path.write_text(yaml.safe_dump(json.loads(changed.model_dump_json())))
    assert load_config(path).foundation_model.architecture == "dlrm"


@pytest.mark.parametrize("source", ["taobao_ad", "movielens"])
def test_a_mistake_in_a_sources_foundation_model_is_named_with_its_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, source: str
):
    monkeypatch.setenv("HEADWATER_SOURCE", source)
    text = SHIPPED.replace("  taobao_ad: #", "  taobao_ad:\n    foundation_model: {optimizer: {rate: 1}}\n    #", 1)
    path = tmp_path / "platform.yaml"
    path.write_text(text)
    line = text.splitlines().index("    foundation_model: {optimizer: {rate: 1}}") + 1
    with pytest.raises(ConfigError, match=rf":{line}: sources.taobao_ad.foundation_model.optimizer.rate: unknown key"):
        load_config(path)


def test_a_vertical_may_have_another_model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HEADWATER_SOURCE", "movielens")
    text = SHIPPED.replace(
        "drama: {column: genre, values: [Drama]}",
        "drama: {column: genre, values: [Drama], model: {architecture: dcnv2, optimizer: {learning_rate: 0.01}}}",
    )
    path = tmp_path / "platform.yaml"
    path.write_text(text)
    config = load_config(path)
    drama = config.of_vertical("drama")
    assert drama.vertical_model == config.vertical_model.changed(
        architecture="dcnv2", optimizer={"learning_rate": 0.01}
    )
    assert drama.vertical_model.optimizer.batch_size == config.vertical_model.optimizer.batch_size
    assert config.of_vertical("action") is config
    assert drama.of_vertical("drama") is drama  # it is in force once
    for wrong, told in (
        ("model: {architecture: dcnv2, epochs: 3", "model.epochs: unknown key"),
        ("model: {num_embeddings: {item_id: 5}", "model.num_embeddings: is one for all verticals, as ids are hashed"),
    ):
        path.write_text(text.replace("model: {architecture: dcnv2", wrong))
        with pytest.raises(ConfigError, match=rf"platform.yaml:\d+: sources.movielens.verticals.drama.{told}"):
            load_config(path)


def test_the_configuration_is_read_only():
    config = load_config(ROOT / "platform.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.runtime.seed = 1  # type: ignore[misc]


def test_a_change_leaves_the_rest_of_every_section_it_goes_through():
    config = load_config(ROOT / "platform.yaml")
    changed = config.changed(
        data_source="synthetic",
        sources={"synthetic": {"events_per_day": 600}},
        foundation_model={"optimizer": {"batch_size": 8}, "codes": {"prefixes": [8]}},
        storage={"root": "elsewhere"},
    )
    assert (changed.data_source, changed.storage.root, changed.source.events_per_day) == ("synthetic", "elsewhere", 600)
    assert changed.foundation_model.optimizer.batch_size == 8 and changed.foundation_model.codes.prefixes == [8]
    assert (
        changed.changed(
            data_source=config.data_source,
            sources={"synthetic": {"events_per_day": config.sources["synthetic"].events_per_day}},
            foundation_model={
                "optimizer": {"batch_size": config.foundation_model.optimizer.batch_size},
                "codes": {"prefixes": []},
            },
            storage={"root": config.storage.root},
        )
        == config
    )


def test_a_change_to_a_section_that_was_none_makes_it():
    foundation = load_config(ROOT / "platform.yaml").foundation_model
    managed = foundation.changed(managed_collision={"tables": ["user_id"]})
    assert managed.managed_collision == ManagedCollision(tables=["user_id"])
    assert managed.changed(managed_collision=None) == foundation


def test_a_section_and_a_plain_mapping_take_the_place_of_what_was_there():
    config = load_config(ROOT / "platform.yaml")
    transfer = Transfer(history_length=7)
    changed = config.changed(transfer=transfer, foundation_model={"hyperparameters": {"rank": 2}})
    assert changed.transfer == transfer and changed.foundation_model.hyperparameters == {"rank": 2}
    mine = config.source.changed(path="mine")
    added = config.changed(data_source="mine", sources={"mine": mine})
    assert added.source == mine and list(added.sources) == [*config.sources, "mine"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"runtime": {"sead": 1}}, "PlatformConfig.runtime.sead: unknown key; allowed here: seed, device"),
        ({"runtime": {"seed": "one"}}, "PlatformConfig.runtime.seed: Input should be a valid integer"),
        ({"source": {"path": "x"}}, "PlatformConfig.source: unknown key; allowed here: data_source, sources"),
        (
            {"sources": {"synthetic": {"events_per_day": 0}}},
            "PlatformConfig.sources.synthetic.events_per_day: Input should be greater than or equal to 1, found 0",
        ),
        ({"sources": {"mine": {"path": "x"}}}, "PlatformConfig.sources.mine.first_day: missing"),
        ({"data_source": "nowhere"}, "PlatformConfig: data_source 'nowhere' has no entry under sources"),
        ({"foundation_model": {"codes": {"dim": 16}}, "transfer": {"code_dim": 8}}, "transfer.code_dim 8 is neither"),
        ({"foundation_model": {"code_dim": 16}}, "foundation_model.code_dim: has moved to foundation_model.codes.dim"),
    ],
)
def test_a_wrong_change_is_refused_by_its_path(changes: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as error:
        load_config(ROOT / "platform.yaml").changed(**changes)
    assert message in str(error.value)


def test_an_overlay_says_what_is_otherwise_and_its_mistakes_have_its_lines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    overlay = tmp_path / "here.yaml"
    overlay.write_text("runtime:\n  seed: 7\nsources:\n  synthetic: {events_per_day: 900}\n")
    shipped = load_config()
    monkeypatch.setenv("HEADWATER_OVERLAY", str(overlay))
    config = load_config()
    assert config == shipped.changed(runtime={"seed": 7}, sources={"synthetic": {"events_per_day": 900}})
    overlay.write_text("runtime:\n  seed: 7\n  ports: 3\n")
    with pytest.raises(ConfigError, match=r"here\.yaml:3: runtime\.ports: unknown key"):
        load_config()
    overlay.write_text("runtime:\n  seed: 7\n")
    (tmp_path / "test.yaml").write_text("runtime: {seed: 8}\n")
    monkeypatch.setenv("HEADWATER_OVERLAY", f"{overlay}:{tmp_path / 'test.yaml'}")
    assert load_config() == shipped.changed(runtime={"seed": 8})
    overlay.unlink()
    with pytest.raises(ConfigError, match=r"here\.yaml: no such file"):
        load_config()
