"""The probe tells a CRIU that works from one that does not, by using it."""

from pathlib import Path

import pytest

from libpod_setup import criu, layout
from libpod_setup.criu_probe import probe


def program(path: Path, text: str) -> Path:
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(0o755)
    return path


def test_a_criu_whose_check_fails_is_refused_with_its_own_reason(tmp_path: Path):
    fake = program(
        tmp_path / "criu",
        'test "$1" = --version && echo "Version: 9.9" && exit\n'
        'echo "Error (criu/vdso.c:381): vdso: Unexpected area"; exit 1\n',
    )
    verdict = probe(fake)
    assert not verdict.works
    assert (verdict.version, verdict.reason) == ("9.9", "criu check: vdso: Unexpected area")


def test_a_criu_that_only_passes_its_check_is_refused(tmp_path: Path):
    fake = program(
        tmp_path / "criu",
        'case "$1" in --version) echo "Version: 9.9" ;; check) echo "Looks good." ;;\n'
        '*) echo "no sockets"; exit 1 ;; esac\n',
    )
    assert probe(fake).reason == "criu dump: no sockets"


def test_a_criu_that_does_not_exist_is_an_answer_not_an_error(tmp_path: Path):
    assert probe(tmp_path / "criu").reason == f"{tmp_path}/criu is not installed"


@pytest.mark.root
@pytest.mark.criu
def test_the_criu_of_the_set_up_freezes_and_thaws():
    found = criu.read_record()
    assert found is not None, f"{layout.CRIU_RECORD} is missing; run scripts/setup"
    assert probe(Path(found.path)).reason == ""
