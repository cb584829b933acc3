"""Every option is where somebody looks for it: in the file that has them all, in the manual page, and in what
shells complete."""

import re
import subprocess
import tomllib

import pytest

from harness.admin import ROOT
from harness.options import commands
from harness.server import binary, environment, run

EXAMPLE = ROOT / "packaging/millstream.toml"
MANUAL = ROOT / "packaging/man/millstream.1"


def uncommented():
    """The example with all of its settings in force."""
    return re.sub(r"(?m)^#(?=[a-z])", "", EXAMPLE.read_text())


def settings():
    """What another reader of TOML makes of it."""
    return tomllib.loads(uncommented())


# The file with all options


def test_the_example_sets_nothing():
    assert tomllib.loads(EXAMPLE.read_text()) == {}


def test_every_option_is_in_the_example():
    assert set(settings()) == set(commands()["serve"]) - {"config"}


def test_the_example_has_the_defaults():
    values = settings()
    for name, option in commands()["serve"].items():
        if "defaultValue" in option:
            assert str(values[name]) == option["defaultValue"], name
    assert values["reuse-port"] is False


def test_the_example_says_what_a_reload_takes():
    """As the list does that the program goes by."""
    source = (ROOT / "Sources/millstream/Serve/ChangeableSettings.swift").read_text()
    listed = re.search(r"changeableOptions: Set<String> = \[(.*?)\]", source, re.DOTALL)[1]
    reloadable = set()
    for paragraph in EXAMPLE.read_text().split("\n\n"):
        if "[reload]\n" in paragraph:
            reloadable |= set(re.findall(r"(?m)^#([a-z-]+) =", paragraph))
    assert reloadable == set(re.findall(r'"([a-z-]+)"', listed))


def test_all_of_the_example_is_taken(tmp_path):
    """It gets as far as the database, which is not there."""
    path = tmp_path / "all.toml"
    text = uncommented()
    for name in ("secrets", "jwt-secrets", "admin-token"):
        (tmp_path / name).write_text("0123456789" * 4 + "\n")
    # Nothing of it is asked, and the rest of the files need keys in them.
    text = re.sub(r"(?m)^(jwt-key-file|jwks-file|jwks-url|authorize-url) = .*$", "", text)
    text = text.replace("/etc/millstream", str(tmp_path)).replace("/run/postgresql", "/nonexistent")
    path.write_text(text)
    done = run("doctor", "--config", str(path))
    assert done.returncode == 1, done.stderr.decode()
    assert f"of them in {path}" in done.stdout.decode()
    failed = [line for line in done.stdout.decode().splitlines() if line.startswith("FAIL")]
    assert failed and all("session: cannot connect" in line for line in failed), failed


# The manual page


def sections():
    """The options of each command as the manual has them."""
    text = MANUAL.read_text().split(".Sh OPTIONS\n")[1].split("\n.Sh ")[0]
    found = {}
    for section in text.split(".Ss ")[1:]:
        name, _, rest = section.partition("\n")
        found[name] = set(re.findall(r"(?m)^\.It Fl -([a-z-]+)", rest))
    return found


def test_every_option_is_in_the_manual():
    expected = {name: set(options) for name, options in commands().items()}
    # It has all of those, and says so.
    expected["doctor"] -= set(expected["serve"])
    assert sections() == expected


def test_every_command_is_in_the_manual():
    described = MANUAL.read_text().split(".Sh DESCRIPTION\n")[1].split("\n.Sh ")[0]
    assert set(re.findall(r"(?m)^\.It Cm ([a-z]+)", described)) == set(commands())


def test_the_manual_has_the_defaults():
    text = " ".join(MANUAL.read_text().replace("\\(+-", "±").split())
    for options in commands().values():
        for name, option in options.items():
            if "defaultValue" in option and name != "timeout":
                assert f"(default: {option['defaultValue']})" in text, name


# Shells


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = tmp_path_factory.mktemp("completions")
    for shell in ("bash", "zsh", "fish"):
        script = run("--generate-completion-script", shell)
        assert script.returncode == 0
        (folder / shell).write_bytes(script.stdout)
    # What fish asks has to be found by its name.
    (folder / "millstream").symlink_to(binary())
    return folder


def shell(*command):
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=environment())
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    return done.stdout.split()


BASH = """
source "$1"
shift
complete -p millstream >/dev/null
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) COMP_LINE="$*" COMP_POINT=${#COMP_LINE} COMPREPLY=()
_millstream "$1" "${!#}" "${COMP_WORDS[COMP_CWORD - 1]}"
printf '%s\\n' "${COMPREPLY[@]}"
"""


def completed(scripts, *words):
    """What bash offers for the last word."""
    return shell("bash", "--norc", "-c", BASH, "bash", scripts / "bash", "millstream", *words)


def test_bash_completes(scripts, tmp_path):
    assert set(commands()) <= set(completed(scripts, ""))
    assert completed(scripts, "do") == ["doctor"]
    for name, options in commands().items():
        assert {f"--{option}" for option in options} <= set(completed(scripts, name, "--")), name
    assert completed(scripts, "serve", "--store", "") == ["pgmq", "native", "both"]
    (tmp_path / "some.toml").touch()
    assert completed(scripts, "serve", "--config", f"{tmp_path}/so") == [f"{tmp_path}/some.toml"]


def test_zsh_takes_its_script(scripts):
    assert shell("zsh", "-f", "-n", scripts / "zsh") == []


def test_fish_completes(scripts):
    assert shell("fish", "--no-config", "--no-execute", scripts / "fish") == []
    ask = f"set -p PATH {scripts}; source {scripts}/fish; complete --do-complete 'millstream serve --dra'"
    assert "--drain" in shell("fish", "--no-config", "-c", ask)
