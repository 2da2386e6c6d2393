"""The counters of docs/monitoring.md, as they stand there."""

import re
import sys
import types
from pathlib import Path

import pytest
from opentelemetry import metrics
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from prometheus_client import REGISTRY

from tests.frameworks.test_on_event import OWN, FlaskSite

PAGE = (Path(__file__).parents[2] / "docs/monitoring.md").read_text()


def code(heading, number=0):
    """Return one of the Python blocks of the section with this *heading*."""
    section = PAGE.partition(f"\n### {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"```python\n(.*?)```", section, re.DOTALL)[number]


def add_module(monkeypatch, heading):
    """Let the module ``monitoring`` be the first block of the section with this *heading*."""
    module = types.ModuleType("monitoring")
    exec(compile(code(heading), "docs/monitoring.md", "exec"), module.__dict__)
    monkeypatch.setitem(sys.modules, "monitoring", module)
    return module


@pytest.fixture
def prometheus(monkeypatch):
    """Counts of Prometheus by event, problem and integration."""
    module = add_module(monkeypatch, "Prometheus")

    def counts():
        samples = [sample for metric in module.EVENTS.collect() for sample in metric.samples]
        assert "bitbucket_events_total" in {sample.name for sample in samples}
        names = ("event", "problem", "integration")
        return {
            tuple(sample.labels[name] for name in names): sample.value
            for sample in samples
            if sample.name == "bitbucket_events_total"
        }

    yield counts
    REGISTRY.unregister(module.EVENTS)


@pytest.fixture
def opentelemetry(monkeypatch):
    """Counts of OpenTelemetry by event, problem and integration."""
    reader = InMemoryMetricReader()
    provider = MeterProvider([reader])
    monkeypatch.setattr(metrics, "get_meter", provider.get_meter)
    add_module(monkeypatch, "OpenTelemetry")

    def counts():
        ((metric,),) = [
            scope.metrics for resource in reader.get_metrics_data().resource_metrics for scope in resource.scope_metrics
        ]
        assert metric.name == "bitbucket.events"
        names = ("event", "problem", "integration")
        return {
            tuple(point.attributes.get(name, "") for name in names): point.value for point in metric.data.data_points
        }

    yield counts
    provider.shutdown()


@pytest.fixture(params=["prometheus", "opentelemetry"])
def counts(request):
    return request.getfixturevalue(request.param)


def test_the_function_of_the_setting_counts(counts, bitbucket_sandbox):
    site = FlaskSite({**bitbucket_sandbox.settings(), f"{OWN}ON_EVENT": "monitoring.count"})
    bitbucket_sandbox.login(site.browser(), "jane", allow=False)
    for _ in range(2):
        bitbucket_sandbox.login(site.browser(), "jane")
    site.close()
    assert counts() == {
        ("login.begin", "", "default"): 3,
        ("login.success", "", "default"): 2,
        ("login.failure", "login_declined", "default"): 1,
    }
