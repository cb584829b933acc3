"""What is shipped to deploy with, as far as it can be looked at in a moment: the Debian packages' files, the
Dockerfile, the Kubernetes manifests. `make check-packages` installs and runs the packages."""

import http.client
import re
import subprocess
import sys

import pytest
import yaml

from harness.docker import PATH as DOCKERFILE
from harness.docker import Dockerfile, is_sent
from harness.library import ROOT, call, header_version
from harness.names import SECRET
from harness.native import Publisher
from harness.ports import free_port
from harness.server import Server, binary, native_path, run
from harness.waiting import wait_until

DEB = ROOT / "packaging/deb"
MANIFESTS = sorted((ROOT / "packaging/kubernetes").glob("*.yaml"))
SETUP = (ROOT / "Tests/setup.sh").read_text()
# In the image for what the program itself does not name; the second is named by a release build alone.
BESIDE = {"ca-certificates", "libstdc++6"}
# And what of a debug build's needs is in none: sanitizers, and Swift's own shared objects.
IN_EVERY_IMAGE = r"lib(c|m|gcc_s|asan|tsan)\.so|ld-linux|libswift|lib_?Foundation"


def flags_of(command):
    """All flags that a command explains."""
    return set(re.findall(r"(?<![\w-])--[a-z][a-z-]*", run(command, "--help").stdout.decode()))


def option(variable):
    """The flag that a variable takes the place of."""
    return f"--{variable.removeprefix('MILLSTREAM_').lower().replace('_', '-')}"


# The Debian packages


def test_scripts_of_the_packages_are_in_order():
    for script in DEB.glob("millstream.*"):
        call("sh", "-n", script)
    call("bash", "-n", DEB / "build.sh")


def test_the_packages_are_built_with_what_the_program_is():
    control = (DEB / "control").read_text()
    wanted = set(re.search(r"^Build-Depends: (.*)$", control, re.MULTILINE)[1].split(", "))
    assert wanted - {"debhelper-compat (= 13)"} == development_packages()
    assert f"Package: libmillstream{header_version().split('.')[0]}\n" in control


def development_packages():
    """What Tests/setup.sh installs to build with."""
    packages = re.search(r"packages=\((.*?)\)", SETUP, re.DOTALL)[1].split()
    return {name for name in packages if name.endswith("-dev")} | {"pkg-config"}


def test_the_settings_are_options_of_serve():
    settings = (ROOT / "packaging/systemd/millstream.default").read_text()
    names = set(re.findall(r"^#(MILLSTREAM_\w+)=", settings, re.MULTILINE))
    assert names
    assert {option(each) for each in names} <= flags_of("serve")


# The Dockerfile


def test_hadolint_has_no_complaint():
    hadolint = ROOT / ".build-tools/venv/bin/hadolint"
    assert hadolint.exists(), "hadolint is not installed: run Tests/setup.sh"
    assert call(hadolint, DOCKERFILE) == ""


def test_the_image_is_built_of_what_is_there_and_sent():
    image = Dockerfile()
    copied = [*image.copied(0), *image.copied(-1)]
    assert {"Package.swift", "Sources", "LICENSE"} <= set(copied)
    assert [path for path in copied if not (ROOT / path).exists() or not is_sent(path)] == []
    assert not is_sent(".build/release") and not is_sent(".git/config")


def test_the_image_is_built_of_all_that_the_package_names():
    """A target without its folder stops the build, though nobody asked for the target."""
    copied = Dockerfile().copied(0)
    package = (ROOT / "Package.swift").read_text()
    folders = re.findall(r'path: "([^"]+)"', package) + ["Tests/MillstreamTests", "Sources/Millstream"]
    for folder in folders:
        assert any(f"{folder}/".startswith(f"{path}/") for path in copied), folder


def test_the_image_is_built_with_what_the_program_is():
    assert set(Dockerfile().packages(0)) == development_packages()


def test_the_image_has_the_libraries_that_the_program_needs():
    """Each package that has one of them in it; what those need in turn comes along."""
    needed = set(re.findall(r"\(NEEDED\).*\[(.*)\]", call("readelf", "--dynamic", "--wide", binary())))
    needed = {name for name in needed if not re.match(IN_EVERY_IMAGE, name)}
    paths = dict(re.findall(r"^\s*(\S+) .*=> (\S+)$", call("/sbin/ldconfig", "-p"), re.MULTILINE))
    owners = {owner(paths[name]) for name in needed if name in paths}
    assert owners
    assert owners - BESIDE == set(Dockerfile().packages(-1)) - BESIDE


def owner(path):
    """The package that a file is of; dpkg may know it by the name it had before /usr was one."""
    for name in (path, f"/usr{path}", path.removeprefix("/usr")):
        said = subprocess.run(["dpkg", "--search", name], capture_output=True, text=True, check=False)
        if said.returncode == 0:
            return said.stdout.split(":")[0]
    raise AssertionError(f"{path} is of no package")


def test_the_image_starts_a_server_that_is_not_root(serve, native_database):
    """What it is started with works, and so does the check of its health."""
    image = Dockerfile()
    assert not image.user.startswith(("root", "0"))
    assert (image.entry_point, image.command) == (["millstream"], ["serve"])
    (signal,) = image.values("STOPSIGNAL", -1)
    assert signal == "SIGTERM"
    assert image.environment["MILLSTREAM_LISTEN"] == "0.0.0.0:8080"
    admin = f"0.0.0.0:{free_port()}"
    program, *arguments = image.health_check
    assert program == "millstream"
    variables = {"MILLSTREAM_LISTEN": "0.0.0.0:0", "MILLSTREAM_ADMIN": admin}
    server = serve(native_database, listen=None, admin=None, **variables)
    assert run(*arguments, MILLSTREAM_ADMIN=admin).returncode == 0
    server.stop()
    assert run(*arguments, MILLSTREAM_ADMIN=admin).returncode == 1


# The Kubernetes manifests


def manifests():
    """All that is shipped, by kind."""
    documents = [yaml.safe_load(path.read_text()) for path in MANIFESTS]
    return {document["kind"]: document for document in documents}


def container():
    """The one container."""
    (found,) = manifests()["Deployment"]["spec"]["template"]["spec"]["containers"]
    return found


def arguments():
    """What serve is started with: values by flags."""
    command, *flags = container()["args"]
    assert command == "serve"
    return dict(flag.split("=", 1) for flag in flags)


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.stem)
def test_a_manifest_is_valid(path):
    validate = ROOT / ".build-tools/venv/bin/kubernetes-validate"
    for version in ("1.29", "1.37"):
        call(sys.executable, validate, "--strict", "--quiet", "-k", version, path)


def test_a_pod_is_told_what_there_is_to_tell():
    explained = flags_of("serve")
    assert arguments().keys() <= explained
    names = {each["name"] for each in container()["env"]} - {"PGSERVICEFILE"}
    assert {option(name) for name in names} <= explained


def test_the_manifests_fit_together():
    found = manifests()
    labels = found["Deployment"]["spec"]["template"]["metadata"]["labels"]
    ports = {port["name"]: port["containerPort"] for port in container()["ports"]}
    for selector in (
        found["Deployment"]["spec"]["selector"]["matchLabels"],
        found["PodDisruptionBudget"]["spec"]["selector"]["matchLabels"], found["Service"]["spec"]["selector"],
    ):
        assert selector.items() <= labels.items()
    (port,) = found["Service"]["spec"]["ports"]
    assert port["targetPort"] == "http"
    assert ports == {
        name: int(arguments()[flag].split(":")[1])
        for name, flag in {"http": "--listen", "admin": "--admin"}.items()
    }
    for rule in found["Ingress"]["spec"]["rules"]:
        for path in rule["http"]["paths"]:
            service = path["backend"]["service"]
            assert service["name"] == found["Service"]["metadata"]["name"]
            assert service["port"]["name"] == port["name"]
            assert f"(default: {path['path']})" in run("serve", "--help").stdout.decode()


def test_a_pod_has_time_to_drain():
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    drain = int(re.fullmatch(r"(\d+)s", arguments()["--drain"])[1])
    write_deadline = 5
    assert pod["terminationGracePeriodSeconds"] > drain + write_deadline


def test_a_pod_is_the_image_and_runs_as_its_account():
    pod = manifests()["Deployment"]["spec"]["template"]["spec"]
    account = pod["securityContext"]
    assert f"{account['runAsUser']}:{account['runAsGroup']}" == Dockerfile().user
    assert account["fsGroup"] == account["runAsGroup"], "it may read its secrets"
    assert container()["image"] == f"millstream:{header_version()}"


def test_a_server_started_as_a_pod_serves_and_answers_its_probes(native_database, tmp_path):
    """With its arguments, its variables and its files, but ports and folders of ours."""
    (mount,) = container()["volumeMounts"]
    (tmp_path / "secrets").write_text(f"{SECRET}\n")
    fields = "\n".join(native_database.split())
    (tmp_path / "pg_service.conf").write_text(f"[millstream]\n{fields}\n")
    ours = {"--listen": "127.0.0.1:0", "--admin": "127.0.0.1:0", "--drain": "0s", "--log-format": "text"}
    flags = [f"{flag}={value}" for flag, value in (arguments() | ours).items() if flag != "--loops"]
    variables = {
        each["name"]: each["value"].replace(mount["mountPath"], str(tmp_path)) for each in container()["env"]
    }
    server = Server(None, *flags, listen=None, admin=None, **variables)
    try:
        with server.subscribe("chat", path=native_path("chat")) as client:
            with Publisher(native_database, "chat") as publisher:
                publisher.send("hello")
            assert client.broadcast().data == "hello"
        for probe in ("readinessProbe", "livenessProbe"):
            wait_until(lambda: answer(server, container()[probe]["httpGet"]) == 200, probe)
    finally:
        server.stop()


def answer(server, probe):
    """The status that the kubelet sees: it asks for a pod by its address."""
    assert probe["port"] == "admin"
    address = re.search(r" admin=(\S+):(\d+)", server.ready_line)
    connection = http.client.HTTPConnection(address[1], int(address[2]), timeout=30)
    try:
        connection.request("GET", probe["path"], headers={"User-Agent": "kube-probe/1.37"})
        return connection.getresponse().status
    finally:
        connection.close()
