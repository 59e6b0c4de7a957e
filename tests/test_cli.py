"""The command line, as an operator or a stock Deployment calls it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import pydnsk8s
from pydnsk8s import chain
from pydnsk8s.cli import main
from pydnsk8s.testing import read
from pydnsk8s.version import VERSION
from tests.listen.dns_clients import question
from tests.ports import free_port

HOSTS = "example.org {\n    bind 127.0.0.1\n    hosts {\n        192.0.2.1 a.example.org\n    }\n}\n"
PATIENCE = 20.0


def run(*words: str, input: str = "") -> Result:
    return CliRunner().invoke(main, words, input=input, catch_exceptions=False)


@pytest.fixture
def corefile(tmp_path: Path) -> Path:
    path = tmp_path / "Corefile"
    path.write_text(HOSTS)
    return path


@pytest.mark.parametrize("words", [["-version"], ["--version"], ["version"]])
def test_the_version_is_told(words: list[str]) -> None:
    result = run(*words)
    assert result.output.startswith(f"pydnsk8s-{VERSION}\n")
    assert result.exit_code == 0


@pytest.mark.parametrize("words", [["-plugins"], ["--plugins"], ["plugins"]])
def test_the_plugins_are_listed_in_chain_order(words: list[str]) -> None:
    lines = run(*words).output.splitlines()
    assert lines.index("dns.errors") < lines.index("dns.cache") < lines.index("dns.hosts") < lines.index("dns.whoami")
    # Those that CoreDNS does not have stand where a query meets them, too.
    assert sorted((line.removeprefix("dns.") for line in lines), key=chain.place) == [line[4:] for line in lines]


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_shows_coredns_options(flag: str) -> None:
    output = run(flag).output
    for word in ("-conf", "-dns.port", "-pidfile", "-quiet", "check", "explain"):
        assert word in output


@pytest.mark.parametrize("words", [["-p", "1053"], ["-p=1053"], ["-dns.port", "1053"], ["-dns.port=1053"]])
def test_the_port_is_written_as_go_programs_have_it(corefile: Path, words: list[str]) -> None:
    assert "at dns://127.0.0.1:1053" in run("-conf", str(corefile), *words, "explain", "a.example.org").output


def test_check_finds_nothing_wrong(corefile: Path) -> None:
    result = run("check", str(corefile))
    assert (result.output, result.exit_code) == ("no problems\n", 0)
    assert run("-conf", str(corefile), "check").exit_code == 0
    assert run("-conf", "stdin", "check", input=HOSTS).exit_code == 0


def test_check_shows_every_problem_with_its_place(corefile: Path) -> None:
    corefile.write_text("example.org {\n    cancel soon\n    hosts {\n        ttl x\n    }\n}\n")
    result = run("check", str(corefile))
    assert result.exit_code == 1
    assert f"{corefile}:2:12" in result.output
    assert f"{corefile}:4:13" in result.output
    assert "2 errors, 0 warnings" in result.output


def test_a_misspelt_directive_is_shown_with_the_one_that_was_meant(corefile: Path) -> None:
    corefile.write_text("example.org {\n    whomai\n}\n")
    result = run("check", str(corefile))
    assert f"{corefile}:2:5: error: unknown directive 'whomai'\n    whomai\n    ^^^^^^\n" in result.output
    assert "did you mean 'whoami'?" in result.output


def test_what_plugins_object_to_is_told_along_with_misspelt_directives(corefile: Path) -> None:
    corefile.write_text(". {\n    forwrad . 192.0.2.1\n    cache {\n        success many\n    }\n}\n")
    lines = run("check", str(corefile)).output.splitlines()
    assert [line.split(":")[1] for line in lines if ": error: " in line] == ["2", "4"]


def test_check_in_json_is_one_problem_a_line(corefile: Path) -> None:
    corefile.write_text("example.org {\n    whomai\n}\n")
    problems = [json.loads(line) for line in run("check", "-json", str(corefile)).output.splitlines()]
    (problem,) = [problem for problem in problems if problem["severity"] == "error"]
    assert (problem["line"], problem["column"]) == (2, 5)
    assert problem["file"] == str(corefile)


def test_a_warning_is_no_error(corefile: Path) -> None:
    corefile.write_text("example.org {\n    debug\n}\n")
    result = run("check", str(corefile))
    assert result.exit_code == 0
    assert "0 errors, 1 warnings" in result.output


def test_check_of_a_missing_file_says_so(tmp_path: Path) -> None:
    result = run("check", str(tmp_path / "none"))
    assert result.exit_code == 1
    assert "none" in result.output


def test_explain_tells_the_way_of_a_question(corefile: Path) -> None:
    output = run("-conf", str(corefile), "explain", "a.example.org", "a").output
    assert "block    example.org" in output
    assert "hosts" in output
    assert "NOERROR by hosts (aa)" in output
    assert "a.example.org. 3600 A 192.0.2.1" in output
    assert "kept     until its data changes" in output


def test_explain_finds_the_address_that_serves_the_name(corefile: Path) -> None:
    corefile.write_text("example.com:1053 {\n    whoami\n}\n" + HOSTS)
    output = run("-conf", str(corefile), "-p", "1054", "explain", "a.example.org").output
    assert "a.example.org. A from 127.0.0.1 at dns://127.0.0.1:1054" in output
    assert "NOERROR by hosts" in output


def test_explain_outside_every_zone_says_what_is_served(corefile: Path) -> None:
    output = run("-conf", str(corefile), "explain", "example.com", "aaaa").output
    assert "no server block serves this name (served are: example.org.): REFUSED" in output


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["explain", "a..b"], "not a domain name"),
        (["explain", "example.org", "NOTYPE"], "not a record type"),
        (["explain", "-client", "here", "example.org"], "here"),
    ],
)
def test_explain_complains_in_a_line(corefile: Path, words: Sequence[str], complaint: str) -> None:
    result = run("-conf", str(corefile), *words)
    assert result.exit_code == 1
    assert complaint in result.output
    assert "Traceback" not in result.output


def test_a_completion_script_is_printed() -> None:
    assert "_pydnsk8s_completion" in run("completion", "bash").output


@contextmanager
def running(*words: str, input: str | None = None, cwd: Path | None = None) -> Iterator[subprocess.Popen[str]]:
    """The program itself, ended if it does not end by itself."""
    process = subprocess.Popen(
        [sys.executable, "-m", "pydnsk8s", *words],
        stdin=subprocess.PIPE if input is not None else subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
    )
    try:
        if input is not None:
            assert process.stdin is not None
            process.stdin.write(input)
            process.stdin.close()
        yield process
    finally:
        if process.poll() is None:
            process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def answered(port: int) -> list[str]:
    """The answer for a.example.org, as soon as somebody gives one."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.2)
        client.connect(("127.0.0.1", port))
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                client.send(question())
                return read(client.recv(4096)).answer
            except OSError:
                time.sleep(0.05)
    raise TimeoutError("nobody answers")


def output(process: subprocess.Popen[str]) -> str:
    """All it said, once it has ended."""
    assert process.stdout is not None
    text = process.stdout.read()
    process.wait(PATIENCE)
    return text


def test_it_serves_until_it_is_told_to_stop(corefile: Path, tmp_path: Path) -> None:
    port = free_port()
    pidfile = tmp_path / "pid"
    with running("-conf", str(corefile), "-dns.port", str(port), "-pidfile", str(pidfile)) as process:
        assert answered(port) == ["a.example.org. 3600 A 192.0.2.1"]
        assert pidfile.read_text() == f"{process.pid}\n"
        process.send_signal(signal.SIGTERM)
        said = output(process)
    assert process.returncode == 0
    assert f"example.org.:{port} on 127.0.0.1" in said
    assert f"pydnsk8s-{VERSION}" in said
    assert not pidfile.exists()


def test_a_signal_reloads_the_corefile_and_hangups_are_ignored(corefile: Path) -> None:
    port = free_port()
    with running("-quiet", "-conf", str(corefile), "-p", str(port)) as process:
        answered(port)
        process.send_signal(signal.SIGHUP)
        corefile.write_text(HOSTS.replace("192.0.2.1", "192.0.2.2"))
        process.send_signal(signal.SIGUSR1)
        end = time.monotonic() + PATIENCE
        while answered(port) != ["a.example.org. 3600 A 192.0.2.2"]:
            assert time.monotonic() < end
        process.send_signal(signal.SIGINT)
        said = output(process)
    assert process.returncode == 0
    assert "Reloading complete" in said
    assert "example.org.:" not in said


def test_a_corefile_from_a_pipe(corefile: Path) -> None:
    port = free_port()
    with running("-conf", "stdin", "-p", str(port), input=HOSTS) as process:
        assert answered(port)
        process.send_signal(signal.SIGTERM)
        output(process)
    assert process.returncode == 0


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("example.org {\n    whomai\n}\n", "whoami"),
        ("example.org {\n    bind 192.0.2.250\n    whoami\n}\n", "cannot listen"),
    ],
)
def test_what_cannot_start_ends_with_1_and_says_why(corefile: Path, text: str, complaint: str) -> None:
    corefile.write_text(text)
    with running("-conf", str(corefile), "-p", str(free_port())) as process:
        said = output(process)
    assert process.returncode == 1
    assert complaint in said
    assert "Traceback" not in said


def test_who_cannot_start_leaves_the_pid_of_who_runs(corefile: Path, tmp_path: Path) -> None:
    pidfile = tmp_path / "pid"
    words = ("-conf", str(corefile), "-p", str(port := free_port()), "-pidfile", str(pidfile))
    with running(*words) as first:
        answered(port)
        with running(*words) as second:
            output(second)
        assert second.returncode == 1
        assert pidfile.read_text() == f"{first.pid}\n"


def test_the_package_tells_its_version() -> None:
    assert pydnsk8s.__version__ == VERSION
