"""What is in docker/ fits together and fits the server: manifests, rights, ports, probes, and the image's steps."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml

from pydnsk8s import chain, cli, corefile
from pydnsk8s.configuration import configure
from pydnsk8s.kube.resources import RESOURCES
from pydnsk8s.plugin import Plugin
from pydnsk8s.plugins.health import Health
from pydnsk8s.plugins.kubernetes import Kubernetes
from pydnsk8s.plugins.prometheus import Prometheus
from pydnsk8s.plugins.ready import Ready
from pydnsk8s.version import VERSION

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
Json = dict[str, Any]

MODELS = {
    "ClusterRole": "V1ClusterRole",
    "ClusterRoleBinding": "V1ClusterRoleBinding",
    "ConfigMap": "V1ConfigMap",
    "DaemonSet": "V1DaemonSet",
    "Deployment": "V1Deployment",
    "PodDisruptionBudget": "V1PodDisruptionBudget",
    "Service": "V1Service",
    "ServiceAccount": "V1ServiceAccount",
}


def documents(folder: str) -> list[Json]:
    """Every object of the folder's manifests."""
    files = [path for path in sorted((DOCKER / folder).glob("*.yaml")) if path.name != "kustomization.yaml"]
    return [document for path in files for document in yaml.safe_load_all(path.read_text())]


OBJECTS = [*documents("kubernetes"), *documents("nodelocal")]


def one(kind: str) -> Json:
    (found,) = (each for each in OBJECTS if each["kind"] == kind)
    return found


def container(workload: Json) -> Json:
    (found,) = workload["spec"]["template"]["spec"]["containers"]
    assert isinstance(found, dict)
    return found


def plugins(text: str) -> tuple[Plugin, ...]:
    """The plugins of a Corefile that has to be free of errors and warnings."""
    configuration = configure(corefile.parse(text, known=chain.known()))
    assert configuration.warnings == ()
    return configuration.plugins


class Setup(NamedTuple):
    """A workload, and the Corefile it runs with."""

    workload: Json
    corefile: str


SETUPS = {
    "kubernetes": Setup(one("Deployment"), one("ConfigMap")["data"]["Corefile"]),
    "nodelocal": Setup(one("DaemonSet"), (DOCKER / "nodelocal" / "Corefile").read_text()),
}
every_setup = pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)


@pytest.mark.parametrize("manifest", OBJECTS, ids=lambda each: f"{each['kind']}-{each['metadata']['name']}")
def test_a_manifest_has_the_structure_that_kubernetes_publishes(manifest: Json) -> None:
    if int(importlib.metadata.version("kubernetes").partition(".")[0]) < 37 and "CI" not in os.environ:
        pytest.skip("older clients do not check what they read")
    from kubernetes import client

    getattr(client, MODELS[manifest["kind"]]).model_validate_json(json.dumps(manifest), strict=True)
    assert manifest["metadata"].get("namespace", "kube-system") == "kube-system"


def test_every_manifest_is_applied() -> None:
    for folder in SETUPS:
        kustomization = yaml.safe_load((DOCKER / folder / "kustomization.yaml").read_text())
        files = {path.name for path in (DOCKER / folder).glob("*.yaml")} - {"kustomization.yaml"}
        assert set(kustomization["resources"]) == files
        for generated in kustomization.get("configMapGenerator", ()):
            assert all((DOCKER / folder / name).exists() for name in generated["files"])
        assert [image["newTag"] for image in kustomization["images"]] == [VERSION]


def asked(text: str) -> set[tuple[str, str]]:
    """The API group and the name of each resource that a Corefile's kubernetes plugin follows."""
    (kubernetes,) = (each for each in plugins(text) if isinstance(each, Kubernetes))
    return {(RESOURCES[kind].group, RESOURCES[kind].plural) for kind in kubernetes.options.kinds}


def granted(role: Json) -> list[tuple[str, str]]:
    return [(group, name) for rule in role["rules"] for group in rule["apiGroups"] for name in rule["resources"]]


def test_the_rights_are_what_the_corefile_asks_the_api_for_and_no_more() -> None:
    assert sorted(granted(one("ClusterRole"))) == sorted(asked(SETUPS["kubernetes"].corefile))
    for rule in one("ClusterRole")["rules"]:
        assert set(rule) == {"apiGroups", "resources", "verbs"}
        assert sorted(rule["verbs"]) == ["list", "watch"]


def test_the_rights_that_only_some_options_need_are_shown() -> None:
    lines = (DOCKER / "kubernetes" / "rbac.yaml").read_text().splitlines()
    shown = "\n".join(line.replace("# ", "", 1) for line in lines if line.startswith(" ") and not line.endswith("`:"))
    rules = yaml.safe_load(shown.partition("  name: system:coredns\n")[2].partition("  name: ")[0])
    options = "pods verified\n multicluster clusterset.local"
    everything = f"cluster.local clusterset.local {{\n kubernetes {{\n {options}\n }}\n}}\n"
    assert sorted(granted({"rules": rules})) == sorted(asked(everything))


def test_names_and_labels_lead_from_one_object_to_the_next() -> None:
    deployment, service, budget = one("Deployment"), one("Service"), one("PodDisruptionBudget")
    labels = deployment["spec"]["template"]["metadata"]["labels"]
    assert deployment["spec"]["selector"]["matchLabels"] == labels
    assert service["spec"]["selector"] == labels
    assert budget["spec"]["selector"]["matchLabels"] == labels
    account = deployment["spec"]["template"]["spec"]["serviceAccountName"]
    assert one("ServiceAccount")["metadata"]["name"] == account
    binding = one("ClusterRoleBinding")
    assert [subject["name"] for subject in binding["subjects"]] == [account]
    assert binding["roleRef"]["name"] == one("ClusterRole")["metadata"]["name"]


def test_the_service_leads_to_dns_over_both_transports_and_to_the_metrics() -> None:
    ports = {(port["name"], port["port"], port["protocol"]) for port in one("Service")["spec"]["ports"]}
    assert ports == {("dns", 53, "UDP"), ("dns-tcp", 53, "TCP"), ("metrics", 9153, "TCP")}
    named = {(port["name"], port["protocol"]) for port in container(one("Deployment"))["ports"]}
    assert {(port["targetPort"], port["protocol"]) for port in one("Service")["spec"]["ports"]} <= named


@every_setup
def test_ports_and_probes_are_those_of_the_corefile(setup: Setup) -> None:
    held = container(setup.workload)
    found = plugins(setup.corefile)
    pages = {type(each): each.address.port for each in found if isinstance(each, Health | Ready | Prometheus)}
    ports = {port["name"]: port["containerPort"] for port in held["ports"]}
    assert ports["dns"] == ports["dns-tcp"] == 53
    assert ports["metrics"] == pages[Prometheus]
    annotations = setup.workload["spec"]["template"]["metadata"]["annotations"]
    assert annotations["prometheus.io/port"] == str(ports["metrics"])
    for probe, path, plugin in (("livenessProbe", "/health", Health), ("readinessProbe", "/ready", Ready)):
        if plugin not in pages:
            assert probe not in held
            continue
        page = held[probe]["httpGet"]
        assert page["path"] == path
        assert ports.get(page["port"], page["port"]) == pages[plugin]


@every_setup
def test_the_arguments_are_ours_and_name_a_file_that_is_mounted(setup: Setup) -> None:
    held, spec = container(setup.workload), setup.workload["spec"]["template"]["spec"]
    context = cli.main.make_context("pydnsk8s", list(held["args"]))
    conf = Path(context.params["conf"])
    (mount,) = held["volumeMounts"]
    (volume,) = spec["volumes"]
    assert conf.parent == Path(mount["mountPath"])
    assert volume["name"] == mount["name"]
    assert conf.name == "Corefile"
    if one("ConfigMap")["metadata"]["name"] == volume["configMap"]["name"]:
        assert conf.name in one("ConfigMap")["data"]


@every_setup
def test_the_server_has_no_more_power_than_port_53_takes(setup: Setup) -> None:
    pod, held = setup.workload["spec"]["template"]["spec"], container(setup.workload)
    security = {**pod["securityContext"], **held["securityContext"]}
    assert security["capabilities"] == {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}
    assert (security["allowPrivilegeEscalation"], security["readOnlyRootFilesystem"]) == (False, True)
    assert (security["runAsNonRoot"], security["runAsUser"]) == (True, 65532)
    assert security["seccompProfile"] == {"type": "RuntimeDefault"}
    assert pod["dnsPolicy"] == "Default"
    assert held["image"].endswith(f":{VERSION}")


def test_the_grace_period_outlasts_lameduck_and_what_is_in_work() -> None:
    (health,) = (each for each in plugins(SETUPS["kubernetes"].corefile) if isinstance(each, Health))
    grace = one("Deployment")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"]
    assert 0 < health.lameduck + 5 < grace


def test_the_caches_on_the_nodes_ask_the_address_of_the_service() -> None:
    text = SETUPS["nodelocal"].corefile
    assert text.count(f"forward . {one('Service')['spec']['clusterIP']} ") == 3
    (init,) = one("DaemonSet")["spec"]["template"]["spec"]["initContainers"]
    address = init["command"][-1]
    assert text.count(f"bind {address}\n") == 4
    assert container(one("DaemonSet"))["livenessProbe"]["httpGet"]["host"] == address
    (mount,) = init["volumeMounts"]
    assert Path(init["command"][1]) == Path(mount["mountPath"]) / "address.py"


def test_a_node_is_given_its_address() -> None:
    script = DOCKER / "nodelocal" / "address.py"
    steps = f"ip link set lo up && for n in 1 2; do {sys.executable} {script} 169.254.20.10; done && ip address show lo"
    done = subprocess.run(["unshare", "--net", "sh", "-c", steps], capture_output=True, text=True, check=False)
    if "unshare" in done.stderr:
        pytest.skip("needs a network namespace of its own")
    assert (done.returncode, done.stderr) == (0, "")
    assert "inet 169.254.20.10/32 scope host lo" in done.stdout
    assert subprocess.run([sys.executable, script, "192.0.2.1", "absent0"], capture_output=True, check=False).returncode


SNIPPETS = {
    "named": ["named-checkconf", "{file}"],
    "unbound": ["unbound-checkconf", "{file}"],
    "knot": ["knotc", "-c", "{file}", "conf-check"],
}


def snippets(language: str) -> list[str]:
    text = "".join(path.read_text() for path in sorted(DOCKER.glob("*.md")))
    return re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)


@pytest.mark.parametrize("language", SNIPPETS)
def test_what_other_servers_are_to_be_told_they_understand(language: str, tmp_path: Path) -> None:
    program, *words = SNIPPETS[language]
    found = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if found is None:
        pytest.skip(f"needs {program}")
    assert snippets(language)
    for text in snippets(language):
        file = tmp_path / "snippet.conf"
        file.write_text(text)
        done = subprocess.run([found, *(word.format(file=file) for word in words)], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("text", snippets("corefile"))
def test_the_corefiles_of_the_pages_are_free_of_errors(text: str) -> None:
    plugins(text)


def test_links_lead_somewhere() -> None:
    for page in DOCKER.glob("*.md"):
        for link in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


DOCKERFILE = (DOCKER / "Dockerfile").read_text()


def steps() -> list[str]:
    """The commands of the image's RUN lines, in order."""
    return re.findall(r"^RUN (.*)$", DOCKERFILE, re.MULTILINE)


def copied() -> Iterator[str]:
    for line in re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE):
        yield from line.split()[:-1]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that the Dockerfile's steps were done in; dependencies stay where they are installed already."""
    setuptools = importlib.metadata.version("setuptools") if importlib.util.find_spec("setuptools") else "0"
    if int(setuptools.partition(".")[0]) < 77 and "CI" not in os.environ:
        pytest.skip("needs setuptools 77; tests/run installs it")
    folder = tmp_path_factory.mktemp("image")
    (folder / "src").mkdir()
    for name in copied():
        source, target = ROOT / name, folder / "src" / name
        if source.is_dir():
            shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy(source, target)
    install, *rest = steps()
    assert install.startswith("python -m pip install ")
    compiling, *finishing = rest
    run(folder, install.replace("pip install", "pip install --no-deps --no-build-isolation"))
    run(folder, compiling)
    shutil.copytree(folder / "install", folder / "usr" / "local")
    for step in finishing:
        if "setxattr" not in step or os.geteuid() == 0:
            run(folder, step)
    return folder


def run(folder: Path, step: str) -> None:
    for inside in ("/install", "/usr/local"):
        step = step.replace(inside, f"{folder}{inside}")
    # The folder of this Python stands for the base image.
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "EXTRAS": ""}
    done = subprocess.run(
        step, shell=True, cwd=folder / "src", env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{step}\n{done.stdout}{done.stderr}"


def packages(image: Path) -> Path:
    (found,) = (image / "usr" / "local").glob("lib/python*/site-packages")
    return found


def test_the_image_needs_no_byte_code_to_be_written(image: Path) -> None:
    sources = [path for path in packages(image).rglob("*.py") if "pydnsk8s" in path.parts]
    assert len(sources) > 50
    for source in sources:
        compiled = Path(importlib.util.cache_from_source(str(source))).read_bytes()
        assert compiled[4:8] == b"\1\0\0\0", f"{source} is looked at again"  # PEP 552: by hash, and never checked
        assert b"/usr/local/lib/" in compiled, f"{source} would be named wrongly in error messages"


def test_the_image_runs_our_program_in_an_interpreter_of_its_own(image: Path) -> None:
    program, interpreter = (image / "usr" / "local" / "bin" / name for name in ("pydnsk8s", "pydnsk8s-python"))
    assert program.read_text().startswith(f"#!{interpreter}\n")
    found = os.pathsep.join((str(packages(image)), sysconfig.get_path("purelib")))
    environ = {**os.environ, "PYTHONPATH": found, "PYTHONHOME": sys.base_prefix}
    done = subprocess.run([program, "-version"], capture_output=True, text=True, env=environ, check=False)
    if "shared libraries" in done.stderr:
        pytest.skip("this Python's library is not where the system looks for libraries, as it is in the base image")
    assert done.stdout.startswith(f"pydnsk8s-{VERSION}\n"), done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give capabilities away")
def test_the_interpreter_may_bind_port_53_and_nothing_else(image: Path) -> None:
    interpreter = image / "usr" / "local" / "bin" / "pydnsk8s-python"
    getcap = shutil.which("getcap", path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    if getcap is None:
        pytest.skip("needs getcap")
    told = subprocess.run([getcap, interpreter], capture_output=True, text=True, check=True).stdout
    assert told.split(" ", 1)[1].strip() == "cap_net_bind_service=ep"


def test_the_image_is_started_as_coredns_is() -> None:
    assert 'ENTRYPOINT ["/usr/local/bin/pydnsk8s"]' in DOCKERFILE
    assert "USER 65532:65532" in DOCKERFILE
    exposed = re.search(r"^EXPOSE (.*)$", DOCKERFILE, re.MULTILINE)
    assert exposed is not None
    ports = {str(port["containerPort"]) for port in container(one("Deployment"))["ports"]} - {"53"}
    assert set(exposed[1].split()) == ports | {"53/udp", "53/tcp"}
    assert "/health" in DOCKERFILE.partition("HEALTHCHECK")[2]


def test_the_build_is_sent_only_what_it_copies() -> None:
    ignored = (DOCKER / "Dockerfile.dockerignore").read_text().split()
    assert ignored[0] == "*"
    assert {word[1:] for word in ignored if word.startswith("!")} == set(copied())
