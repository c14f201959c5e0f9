"""platform.yaml: every mistake is named by key and line."""

from pathlib import Path

import pytest

from config import ROOT, ConfigError, load_config

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
        ("code_dim: 32", "code_dim: wide", "foundation_model.code_dim: Input should be a valid integer"),
        ("code_dim: 32", "code_dim: 0", "foundation_model.code_dim: Input should be greater than 0, found 0"),
        ("device: auto", "device: tpu", "runtime.device: Input should be 'auto', 'cpu' or 'cuda', found 'tpu'"),
        ("  min_rows: 100", "  min_row: 100", "gates.min_row: unknown key"),
        ("history_days: 30\n  user", "history_days: 3\n  user", "windows_days [1, 7, 30] reach beyond history_days 3"),
        ("calibration: [0.8, 1.25]", "calibration: [1.3, 1.25]", "0 <= low < high"),
        ("data_source: complete_journey", "data_source: nowhere", "data_source 'nowhere' has no entry under sources"),
        ("meat: {column: department, values: [MEAT]}", "meat: {}", "both take the rest"),
        ("meat: {column: department, values: [MEAT]}", "meat: {column: department}", "give both column and values"),
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


def test_the_configuration_is_read_only():
    config = load_config(ROOT / "platform.yaml")
    with pytest.raises(ValueError, match="frozen"):
        config.runtime.seed = 1  # type: ignore[misc]
