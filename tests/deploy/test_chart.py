"""The Helm chart: rendered by Helm for many sets of values, held against lfk and the schemas of those who take it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from referencing import Registry, Resource

from lfk import __version__
from lfk.core import metrics
from tests.deploy.conftest import ROOT
from tests.deploy.declared import check_command, check_values
from tests.docs.pages import blocks
from tests.services.programs import Program
from tests.services.tools import HELM, KEDA, KUBERNETES, PROMETHEUS_OPERATOR, PROMTOOL

CHART = ROOT / "deploy" / "helm" / "lfk"
KUBERNETES_VERSION = "1.33"

Object = dict[str, Any]
Render = Callable[..., list[Object]]

BURST = {"hub": {"burst": {"enabled": True}}}
CASES: dict[str, Object] = {
    "defaults": {},
    "gpu": {
        "hub": {"gpu": {"enabled": True, "count": 2, "runtimeClassName": "nvidia"}, "nodeSelector": {"gpu": "yes"}}
    },
    "burst": BURST,
    "burst on gpus, none standing": {
        "hub": {
            "replicas": 0,
            "gpu": {"enabled": True},
            "burst": {"enabled": True, "prometheus": {"authentication": "p"}},
        }
    },
    "sasl": {
        "kafka": {"saslSecret": "kafka", "tlsSecret": "ca", "settings": {"sasl.mechanism": "SCRAM-SHA-512"}},
        "store": {"secret": "s3", "endpoint": "https://s3.example.org", "region": "eu-central-1"},
        "registry": {"url": "https://registry.example.org", "schemaType": "Avro", "secret": "registry"},
        "secretSettings": [{"name": "HF_TOKEN", "secret": "hugging-face", "field": "token"}],
    },
    "mtls": {"kafka": {"tlsSecret": "kafka-client", "mutualTls": True}},
    "models on a claim": {"hub": {"modelCache": {"create": True, "storageClass": "shared"}}},
    "models on a claim of ours": {"hub": {"modelCache": {"existingClaim": "models"}}},
    "listen to minio": {"listen": {"enabled": True}},
    "listen to sqs": {"listen": {"enabled": True, "source": "sqs", "queue": "recordings"}},
    "listen to a webhook": {"listen": {"enabled": True, "source": "webhook", "tokenSecret": "hook"}},
    "sync": {"sync": {"enabled": True, "existingClaim": "recordings"}},
    "transcripts": {"transcripts": {"enabled": True, "existingClaim": "transcripts", "formats": ["txt", "srt"]}},
    "gateway": {"gateway": {"enabled": True, "replicas": 2}},
    "web": {"web": {"enabled": True}},
    "web behind an ingress": {
        "web": {
            "enabled": True,
            "hosts": ["lfk.example.org"],
            "tokenSecret": "page",
            "ingress": {"enabled": True, "className": "nginx", "tlsSecret": "certificate"},
        }
    },
    "monitored": {"metrics": {"serviceMonitor": {"enabled": True, "labels": {"release": "prometheus"}}}},
    "no policy, no hub": {"networkPolicy": {"enabled": False}, "hub": {"enabled": False}, "init": {"enabled": False}},
}


def shown() -> Object:
    """The values that docs/deploy.md shows."""
    (block,) = [block for block in blocks("docs/deploy.md") if block.language == "yaml"]
    values: Object = yaml.safe_load("\n".join(block.lines))
    return values


CASES["as docs/deploy.md shows"] = shown()


@pytest.fixture(scope="module")
def helm(tool: Callable[[Program], Path], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Any]:
    program, home = tool(HELM), tmp_path_factory.mktemp("helm")

    def run(verb: str, values: Object) -> subprocess.CompletedProcess[str]:
        values = {**values, "kafka": {"bootstrapServers": "kafka:9092", **values.get("kafka", {})}}
        name = ["here"] if verb == "template" else []
        return subprocess.run(
            [program, verb, *name, str(CHART), "--kube-version", KUBERNETES_VERSION, "--namespace", "space", "-f", "-"],
            input=json.dumps(values),
            env={"HOME": str(home), "PATH": "/usr/bin:/bin"},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    return run


@pytest.fixture(scope="module")
def render(helm: Callable[..., Any]) -> Render:
    def run(values: Object) -> list[Object]:
        done = helm("template", values)
        assert done.returncode == 0, done.stderr
        return [found for found in yaml.load_all(done.stdout, Loader=yaml.CSafeLoader) if found]

    return run


@pytest.fixture(scope="module")
def rendered(render: Render) -> Callable[[str], list[Object]]:
    """The objects of a case, rendered once."""
    kept: dict[str, list[Object]] = {}

    def of(case: str) -> list[Object]:
        if case not in kept:
            kept[case] = render(CASES[case])
        return kept[case]

    return of


def pods(objects: list[Object]) -> Iterator[tuple[str, Object, Object]]:
    """(name of the owner, labels, spec) of every pod that these objects make."""
    for one in objects:
        spec = one.get("spec", {})
        template = spec.get("template") or spec.get("jobTargetRef", {}).get("template")
        if template:
            yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def find(objects: list[Object], kind: str, name: str) -> Object:
    (found,) = [one for one in objects if one["kind"] == kind and one["metadata"]["name"] == name]
    return found


def environment(container: Object) -> dict[str, str]:
    """What is written out, and for what comes from a secret some value."""
    return {entry["name"]: entry.get("value", "secret") for entry in container["env"]}


@pytest.mark.parametrize("case", CASES)
def test_every_command_parses_and_every_name_is_a_setting(case: str, rendered: Callable[[str], list[Object]]) -> None:
    for _, _, spec in pods(rendered(case)):
        (container,) = spec["containers"]
        check_command(container["args"])
        check_values(environment(container))


@pytest.mark.parametrize(
    ("case", "role", "name"), [("web", "web", "tmp"), ("gateway", "gateway", "tmp"), ("defaults", "hub", "scratch")]
)
def test_audio_on_its_way_has_room_in_its_volume(
    case: str, role: str, name: str, rendered: Callable[[str], list[Object]]
) -> None:
    """A pod whose folder outgrows its limit is evicted, with all that it was at."""
    (spec,) = [spec for owner, _, spec in pods(rendered(case)) if owner == f"here-lfk-{role}"]
    (container,) = spec["containers"]
    (volume,) = [one for one in spec["volumes"] if one["name"] == name]
    (mount,) = [one for one in container["volumeMounts"] if one["name"] == name]
    settings = check_values(environment(container))
    assert (settings.scratch or "/tmp") == mount["mountPath"]
    limit: str = volume["emptyDir"]["sizeLimit"]
    assert settings.scratch_bytes < int(limit.removesuffix("Gi")) << 30


@pytest.mark.parametrize("case", CASES)
def test_every_pod_has_as_little_as_it_needs(case: str, rendered: Callable[[str], list[Object]]) -> None:
    objects = rendered(case)
    accounts = {one["metadata"]["name"] for one in objects if one["kind"] == "ServiceAccount"}
    for name, _, spec in pods(objects):
        assert spec["serviceAccountName"] in accounts
        assert spec["automountServiceAccountToken"] is False
        security = spec["securityContext"]
        assert (security["runAsNonRoot"], security["runAsUser"], security["fsGroup"]) == (True, 10001, 10001)
        assert security["seccompProfile"] == {"type": "RuntimeDefault"}
        (container,) = spec["containers"]
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["resources"]["limits"]["memory"], name
        assert container["resources"]["requests"]["cpu"], name
        mounted = [mount["name"] for mount in container["volumeMounts"]]
        assert sorted(mounted) == sorted(volume["name"] for volume in spec["volumes"])
        assert {"/tmp", "/var/lib/lfk"} <= {mount["mountPath"] for mount in container["volumeMounts"]}


@pytest.mark.parametrize("case", CASES)
def test_secrets_are_referred_to_and_mounted_for_every_file_that_is_named(
    case: str, rendered: Callable[[str], list[Object]]
) -> None:
    for _, _, spec in pods(rendered(case)):
        (container,) = spec["containers"]
        values = environment(container)
        named = {value for name, value in values.items() if name.endswith(("_FILE", "_LOCATION"))}
        mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
        there = set()
        for volume in spec["volumes"]:
            if "projected" in volume:
                items = (item for source in volume["projected"]["sources"] for item in source["secret"]["items"])
                there |= {f"{mounts[volume['name']]}/{item['path']}" for item in items}
            elif "secret" in volume:
                there |= {f"{mounts[volume['name']]}/{key}" for key in ("ca.crt", "tls.crt", "tls.key")}
        assert named <= there
        assert all(path in named for path in there if path.startswith("/etc/lfk/secrets/"))


@pytest.mark.parametrize("case", CASES)
def test_what_stays_is_probed_and_what_ends_is_a_job(case: str, rendered: Callable[[str], list[Object]]) -> None:
    for one in rendered(case):
        for name, _, spec in pods([one]):
            (container,) = spec["containers"]
            if one["kind"] == "Job":
                assert "livenessProbe" not in container
                continue
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            for probe, path in (("livenessProbe", "/healthz"), ("readinessProbe", "/readyz")):
                asked = container[probe]["httpGet"]
                assert asked["path"] == ("/healthz" if name.endswith("-web") else path)
                # In an outage the page is there to say so: it is asked at its own door, and only whether it lives.
                served = environment(container)["LFK_WEB" if name.endswith("-web") else "LFK_HEALTH"]
                assert served.endswith(f":{ports[asked['port']]}")
                assert not served.startswith("127.")


@pytest.mark.parametrize("case", CASES)
def test_selectors_and_ports_find_what_they_are_for(case: str, rendered: Callable[[str], list[Object]]) -> None:
    objects = rendered(case)
    every = [(labels, spec) for _, labels, spec in pods(objects)]

    def matched(selector: Mapping[str, str]) -> list[Object]:
        return [spec for labels, spec in every if selector.items() <= labels.items()]

    def ports(specs: list[Object]) -> set[str]:
        return {port["name"] for spec in specs for port in spec["containers"][0].get("ports", ())}

    for one in objects:
        spec = one.get("spec", {})
        if one["kind"] == "Deployment":
            assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
            assert len(matched(spec["selector"]["matchLabels"])) == 1
        elif one["kind"] == "PodDisruptionBudget":
            assert matched(spec["selector"]["matchLabels"])
        elif one["kind"] == "NetworkPolicy":
            named = {port["port"] for rule in spec.get("ingress", ()) for port in rule["ports"]}
            assert named <= ports(matched(spec["podSelector"]["matchLabels"]))
        elif one["kind"] == "Service":
            assert {port["targetPort"] for port in spec["ports"]} <= ports(matched(spec["selector"]))
        elif one["kind"] == "ServiceMonitor":
            (service,) = [
                found
                for found in objects
                if found["kind"] == "Service"
                and spec["selector"]["matchLabels"].items() <= found["metadata"]["labels"].items()
            ]
            assert spec["endpoints"][0]["port"] in {port["name"] for port in service["spec"]["ports"]}
        elif one["kind"] == "Ingress":
            backend = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
            service = find(objects, "Service", backend["name"])
            assert backend["port"]["name"] in {port["name"] for port in service["spec"]["ports"]}


@pytest.fixture(scope="module")
def validator(tool: Callable[[Program], Path]) -> Callable[[Object], jsonschema.protocols.Validator]:
    """The schema of an object's kind: Kubernetes' own, or that of the operator whose resource it is."""
    folder = tool(KUBERNETES)
    definitions = Resource.from_contents(json.loads((folder / "_definitions.json").read_text(encoding="utf-8")))
    operators = {}
    for files in (KEDA, PROMETHEUS_OPERATOR):
        for path in tool(files).iterdir():
            # In C: the pure loader takes ten seconds for a pod inside a definition.
            definition = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)["spec"]
            for version in definition["versions"]:
                key = (f"{definition['group']}/{version['name']}", definition["names"]["kind"])
                operators[key] = strict(version["schema"]["openAPIV3Schema"])

    def of(one: Object) -> jsonschema.protocols.Validator:
        key = (one["apiVersion"], one["kind"])
        if key in operators:
            return jsonschema.Draft202012Validator(operators[key])
        group, _, version = one["apiVersion"].rpartition("/")
        name = "-".join(filter(None, (one["kind"].lower(), group.partition(".")[0], version)))
        schema = json.loads((folder / f"{name}.json").read_text(encoding="utf-8"))
        registry = definitions @ (Resource.from_contents(schema) @ Registry())
        return jsonschema.Draft202012Validator(schema, registry=registry)

    return of


def strict(schema: Any) -> Any:
    """A resource's schema where what is not described is refused, as an API server drops it without a word."""
    if isinstance(schema, list):
        return [strict(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: strict(part) for name, part in schema.items()}
    if "properties" in made and not made.get("x-kubernetes-preserve-unknown-fields"):
        made.setdefault("additionalProperties", False)
    return made


@pytest.mark.parametrize("case", CASES)
def test_kubernetes_and_the_operators_take_every_object(
    case: str, rendered: Callable[[str], list[Object]], validator: Callable[[Object], jsonschema.protocols.Validator]
) -> None:
    for one in rendered(case):
        faults = [f"{error.json_path}: {error.message[:200]}" for error in validator(one).iter_errors(one)]
        assert not faults, (one["kind"], one["metadata"]["name"])


def test_the_schemas_find_what_is_wrong(
    rendered: Callable[[str], list[Object]], validator: Callable[[Object], jsonschema.protocols.Validator]
) -> None:
    for case, kind in (("burst", "ScaledJob"), ("monitored", "ServiceMonitor"), ("burst", "Deployment")):
        (one, *_) = [found for found in rendered(case) if found["kind"] == kind]
        wrong = {**one, "spec": {**one["spec"], "misspelt": 1}}
        assert validator(one).is_valid(one)
        assert not validator(wrong).is_valid(wrong)


def test_hubs_have_time_to_end_and_are_rolled_without_a_surplus(rendered: Callable[[str], list[Object]]) -> None:
    for case in ("defaults", "burst", "gpu"):
        for name, labels, spec in pods(rendered(case)):
            if labels["app.kubernetes.io/component"].startswith("hub"):
                assert spec["terminationGracePeriodSeconds"] > float(environment(spec["containers"][0])["LFK_GRACE"]), (
                    name
                )
    hub = find(rendered("defaults"), "Deployment", "here-lfk-hub")
    assert hub["spec"]["strategy"]["rollingUpdate"] == {"maxSurge": 0, "maxUnavailable": 1}


def test_hubs_on_gpus_ask_for_them(rendered: Callable[[str], list[Object]]) -> None:
    ((_, _, spec),) = pods([find(rendered("gpu"), "Deployment", "here-lfk-hub")])
    (container,) = spec["containers"]
    assert container["image"].endswith("-hub-cuda")
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "2"
    assert environment(container)["LFK_DEVICE"] == "cuda"
    assert (spec["runtimeClassName"], spec["nodeSelector"]) == ("nvidia", {"gpu": "yes"})
    assert {"key": "nvidia.com/gpu", "operator": "Exists", "effect": "NoSchedule"} in spec["tolerations"]


def test_nothing_ends_a_hub_of_a_burst_but_itself(rendered: Callable[[str], list[Object]]) -> None:
    objects = rendered("burst")
    assert not [one for one in objects if one["kind"] in ("ScaledObject", "HorizontalPodAutoscaler")]
    job = find(objects, "ScaledJob", "here-lfk-hub-burst")["spec"]
    assert job["rollout"] == {"strategy": "gradual"}
    assert (job["jobTargetRef"]["backoffLimit"], "activeDeadlineSeconds" in job["jobTargetRef"]) == (0, False)
    template = job["jobTargetRef"]["template"]
    assert template["spec"]["restartPolicy"] == "Never"
    assert template["spec"]["containers"][0]["args"] == ["hub", "--exit-when-idle", "300"]
    assert template["metadata"]["annotations"]["karpenter.sh/do-not-disrupt"] == "true"
    (trigger,) = job["triggers"]
    audio = 'sum(max by (lane) (lfk_backlog_audio_seconds{namespace="space"}))'
    most = 'sum(max by (lane) (lfk_backlog_references{namespace="space"})) * 3600'
    assert trigger["metadata"]["query"] == f"clamp_min(({audio} < {most} or {most}) - 3600, 0)", (
        "audio, but no more than one hub for each reference, less what the one standing hub takes"
    )
    assert find(objects, "Deployment", "here-lfk-backlog"), "who measures, also while no hub runs"


#: What is measured (two pods tell of the same backlog), and how many further hubs that is work for.
_BACKLOGS = (
    ("ten hours in one recording, which one hub takes", 36_000, 1, 0),
    ("ten hours in a hundred recordings", 36_000, 100, 9),
    ("nothing", 0, 0, 0),
    ("what the standing hub does alone", 1_800, 20, 0),
    ("three hours in two recordings", 10_800, 2, 1),
)


def test_a_burst_is_as_large_as_the_work_that_is_left(
    rendered: Callable[[str], list[Object]], tool: Callable[[Program], Path], tmp_path: Path
) -> None:
    """Prometheus's own evaluation of the query, on the series that lfk serves."""
    job = find(rendered("burst"), "ScaledJob", "here-lfk-hub-burst")["spec"]
    asked = job["triggers"][0]["metadata"]
    labels = 'namespace="space",lane="fresh"'
    series = [
        {"series": f'{name}{{{labels},pod="{pod}"}}', "values": " ".join(str(case[column]) for case in _BACKLOGS)}
        for name, column in ((metrics.BACKLOG_AUDIO.name, 1), (metrics.BACKLOG_REFERENCES.name, 2))
        for pod in ("a", "b")
    ]
    series.append({"series": f'{metrics.BACKLOG_AUDIO.name}{{namespace="other",lane="fresh"}}', "values": "99999x9"})
    expected = [
        {
            "expr": asked["query"],
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": case[3] * float(asked["threshold"])}],
        }
        for minute, case in enumerate(_BACKLOGS)
    ]
    trial = {
        "evaluation_interval": "1m",
        "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": expected}],
    }
    (tmp_path / "trial.yml").write_text(json.dumps(trial), encoding="utf-8")
    done = subprocess.run(
        [str(tool(PROMTOOL)), "test", "rules", "trial.yml"],
        cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_init_comes_before_everything_with_an_account_of_its_own(rendered: Callable[[str], list[Object]]) -> None:
    objects = rendered("defaults")
    hooks = {
        one["kind"]: one["metadata"]["annotations"] for one in objects if one["metadata"]["name"] == "here-lfk-init"
    }
    assert {hook["helm.sh/hook"] for hook in hooks.values()} == {"pre-install,pre-upgrade"}
    assert int(hooks["ServiceAccount"]["helm.sh/hook-weight"]) < int(hooks["Job"]["helm.sh/hook-weight"])
    others = {labels["app.kubernetes.io/component"]: spec["serviceAccountName"] for _, labels, spec in pods(objects)}
    assert len(set(others.values())) == len(others)


REFUSED = {
    "no broker": ({"kafka": {"bootstrapServers": ""}}, "kafka.bootstrapServers is needed"),
    "misspelt": ({"hub": {"replics": 3}}, "replics"),
    "a secret as a value": ({"settings": {"API_SECRET": "x"}}, "API_SECRET"),
    "grace behind the chart's back": ({"hub": {"settings": {"LFK_GRACE": "9999"}}}, "LFK_GRACE"),
    "no bucket": ({"store": {"uri": "recordings"}}, "store/uri"),
    "no such source": ({"listen": {"source": "ftp"}}, "listen/source"),
    "sqs without a queue": ({"listen": {"enabled": True, "source": "sqs"}}, "listen.queue"),
    "webhook without a token": ({"listen": {"enabled": True, "source": "webhook"}}, "listen.tokenSecret"),
    "sync without a claim": ({"sync": {"enabled": True}}, "sync.existingClaim"),
    "more hubs than partitions": ({"hub": {"burst": {"enabled": True, "maxHubs": 12}}}, "a topic has 12 partitions"),
    "nobody measures": ({**BURST, "backlog": {"enabled": False}}, "backlog.enabled"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_values_that_cannot_work_are_refused_and_named(case: str, helm: Callable[..., Any]) -> None:
    values, named = REFUSED[case]
    done = helm("template", values)
    assert done.returncode != 0
    assert named in done.stderr


def test_helm_finds_nothing_to_say(helm: Callable[..., Any]) -> None:
    done = helm("lint", CASES["sasl"])
    assert done.returncode == 0, done.stdout
    assert "WARNING" not in done.stdout + done.stderr


def test_schema_and_values_name_the_same() -> None:
    schema = json.loads((CHART / "values.schema.json").read_text(encoding="utf-8"))

    def names(part: Mapping[str, Any], at: str = "") -> set[str]:
        found = set()
        for name, below in part.get("properties", {}).items():
            found |= {f"{at}{name}"} | names(below, f"{at}{name}.")
        return found

    def given(part: Mapping[str, Any], at: str = "") -> set[str]:
        found = set()
        for name, below in part.items():
            found.add(f"{at}{name}")
            if isinstance(below, dict) and f"{at}{name}" in closed:
                found |= given(below, f"{at}{name}.")
        return found

    described = names(schema)
    closed = {name.rpartition(".")[0] for name in described}
    optional = {"global", "init.nodeSelector", "init.tolerations"}
    assert given(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))) == described - optional


def test_the_chart_is_of_lfks_own_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text(encoding="utf-8"))
    assert (chart["version"], chart["appVersion"]) == (__version__, __version__)


def test_every_file_of_the_chart_is_rendered_by_some_case(rendered: Callable[[str], list[Object]]) -> None:
    kinds = {one["kind"] for case in CASES for one in rendered(case)}
    assert kinds == {
        "Deployment", "Ingress", "Job", "NetworkPolicy", "PersistentVolumeClaim", "PodDisruptionBudget", "ScaledJob",
        "Service", "ServiceAccount", "ServiceMonitor",
    }  # fmt: skip
    components = {labels["app.kubernetes.io/component"] for case in CASES for _, labels, _ in pods(rendered(case))}
    templates = {path.stem for path in (CHART / "templates").glob("*.yaml")}
    assert components == {"hub-burst" if name == "burst" else name for name in templates} - {
        "monitoring", "networkpolicy", "serviceaccounts",
    }  # fmt: skip
