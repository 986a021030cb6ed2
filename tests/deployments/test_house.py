"""What the house promises about itself: its names resolve here, and its walls stand."""

import importlib
from pathlib import Path

import pytest
import yaml

from tasks.settings import ROOT


@pytest.mark.parametrize("name", ["core", "tasks", "flows", "deployments", "tests"])
def test_generic_names_resolve_inside_the_project(name):
    module = importlib.import_module(name)
    assert Path(module.__file__).resolve().is_relative_to(ROOT)


def test_entrypoints_of_the_deployments_exist():
    content = yaml.safe_load((ROOT / "deployments" / "prefect.yaml").read_text())
    for deployment in content["deployments"]:
        path, function = deployment["entrypoint"].split(":")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        assert hasattr(module, function)
        assert set(deployment.get("parameters", {})) <= set(module.__dict__[function].parameters.properties)
