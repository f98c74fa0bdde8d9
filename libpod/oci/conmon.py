"""The driver for conmon with runc or crun: a table of contents.

Each method is one call into the module of its subject; see there for order, crashes and reasons.

Covers: oci_conmon.go, oci_conmon_common.go, oci_conmon_linux.go
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from libpod.linux import cgroups, pidfd
from libpod.oci import deleting, ending, leftovers, state_files
from libpod.oci.base import (
    DEFAULT_BUFFER,
    Bundle,
    DumpRequest,
    ExecRequest,
    ExitStatus,
    Launched,
    OciRuntime,
    ProcessIdentity,
    RestoreRequest,
    RuntimeCapabilities,
)
from libpod.oci.programs import Programs, child_environment

# The other subjects are loaded by the methods that need them: a clean-up needs no terminals, a run no CRIU.
if TYPE_CHECKING:
    from libpod.linux.cgroup_stats import CgroupStats
    from libpod.oci.attach import AttachStream
    from libpod.oci.execution import ExecProcess
    from libpod.oci.freezing import Frozen
    from libpod.oci.launch import Launch


class ConmonRuntime(OciRuntime):
    """Containers by conmon and a runtime that speaks runc's command line."""

    def __init__(
        self,
        *,
        conmon: Path,
        runtime: Path,
        criu_directory: Path | None = None,
        path_env: str | None = None,
        environment: Sequence[str] = (),
    ) -> None:
        """*criu_directory* comes first on the PATH of all children; *environment* are NAME=value words for conmon."""
        self._programs = Programs(
            conmon=conmon,
            runtime=runtime,
            runtime_name=next((name for name in ("crun", "runc") if name in runtime.name), runtime.name),
            environment=child_environment(
                criu_directory=criu_directory, path_env=path_env, extra=environment
            ),
        )

    @property
    def programs(self) -> Programs:
        """conmon, the runtime and the environment they get."""
        return self._programs

    @property
    def capabilities(self) -> RuntimeCapabilities:
        from libpod.oci import discovery

        return discovery.probe(self._programs.runtime)

    @property
    def conmon_version(self) -> str:
        """conmon's version; NotSupportedError when it is too old."""
        from libpod.oci import discovery

        return discovery.conmon_version(self._programs.conmon)

    def remove_leftovers(self, bundle: Bundle) -> None:
        leftovers.remove_leftovers(self._programs, bundle)

    def launching(
        self,
        bundle: Bundle,
        restore: RestoreRequest | None = None,
        *,
        pass_fds: Sequence[int] = (),
        preserve_fds: Sequence[int] = (),
    ) -> contextlib.AbstractContextManager[Launch]:
        from libpod.oci import launch

        return launch.launching(self._programs, bundle, restore, pass_fds=pass_fds, preserve_fds=preserve_fds)

    def rediscover(self, bundle: Bundle) -> Launched | None:
        return leftovers.rediscover(self._programs, bundle)

    def has_started(self, bundle: Bundle) -> bool:
        state = state_files.state_of(self._programs.runtime_name, bundle)
        return state is not None and state.started

    def start(self, bundle: Bundle, launched: Launched) -> None:
        from libpod.oci import starting

        starting.start(self._programs, bundle, launched)

    def signal(self, bundle: Bundle, init: ProcessIdentity, signal: int, *, everyone: bool = False) -> bool:
        return ending.send(self._programs, bundle, init, signal, everyone=everyone)

    def stop(
        self, bundle: Bundle, launched: Launched, *, signal: int, timeout: float, everyone: bool = False
    ) -> ExitStatus:
        return ending.stop(
            self._programs, bundle, launched, number=signal, timeout=timeout, everyone=everyone
        )

    def pause(self, bundle: Bundle) -> None:
        from libpod.oci import freezing

        freezing.pause(self._programs, bundle)

    def resume(self, bundle: Bundle) -> None:
        from libpod.oci import freezing

        freezing.resume(self._programs, bundle)

    def update(self, bundle: Bundle, resources: Mapping[str, Any]) -> None:
        import json

        from libpod.define.errors import CommandError
        from libpod.linux import process
        from libpod.oci import arguments
        from libpod.oci.errors import Phase, log_text, runtime_error

        argv = arguments.runtime_args(self._programs.runtime, bundle, log=False, systemd=True)
        argv += ["--log-format=json", "update", "--resources", "-", bundle.id]
        try:
            process.run(argv, stdin=json.dumps(resources).encode(), env=self._programs.environment)
        except CommandError as error:
            text = log_text(error.stderr) or error.stderr
            raise runtime_error(Phase.UPDATE, bundle.name, text) from error

    def delete(self, bundle: Bundle, *, init: ProcessIdentity | None = None, force: bool = False) -> None:
        if force:
            leftovers.end_stray_launch(self._programs, bundle)
        deleting.delete(self._programs, bundle, init=init, force=force)

    def exit_status(self, bundle: Bundle) -> ExitStatus | None:
        return ending.exit_status(bundle)

    def wait_exit(
        self, bundle: Bundle, launched: Launched, timeout: float | None = None
    ) -> ExitStatus | None:
        return ending.wait_exit(bundle, launched, timeout)

    def monitor_alive(self, bundle: Bundle, conmon: ProcessIdentity) -> bool:
        if conmon.start_time:
            return conmon.alive()
        from libpod.oci import control

        return control.listening(bundle.control_fifo)

    def freezing(self, bundle: Bundle) -> contextlib.AbstractContextManager[Frozen]:
        from libpod.oci import freezing

        return freezing.freezing(bundle)

    def checkpoint(self, bundle: Bundle, request: DumpRequest, launched: Launched) -> int:
        from libpod.oci import checkpointing

        return checkpointing.checkpoint(self._programs, bundle, request, launched)

    def attach(self, bundle: Bundle, *, buffer: int | None = DEFAULT_BUFFER) -> AttachStream:
        from libpod.oci.attach import AttachStream

        return AttachStream.connect(bundle.attach_socket, f"container {bundle.name}", buffer=buffer)

    def resize(self, bundle: Bundle, rows: int, columns: int) -> None:
        from libpod.oci import control

        control.resize(
            bundle.control_fifo,
            f"container {bundle.name}",
            rows,
            columns,
            pid=pidfd.read_pid(bundle.pid_file) if bundle.terminal else None,
        )

    def reopen_log(self, bundle: Bundle) -> None:
        from libpod.oci import control

        control.reopen_log(bundle.control_fifo, f"container {bundle.name}")

    def exec(self, bundle: Bundle, request: ExecRequest) -> ExecProcess:
        from libpod.oci import execution

        return execution.start(self._programs, bundle, request)

    def processes(self, bundle: Bundle) -> list[int]:
        if bundle.cgroups_enabled and bundle.cgroup_path:
            return cgroups.processes(cgroups.group_path(bundle.cgroup_path))
        state = state_files.state_of(self._programs.runtime_name, bundle)
        return [state.init.pid] if state is not None and state.init.alive() else []

    def stats(self, bundle: Bundle) -> CgroupStats:
        from libpod.linux import cgroup_stats

        return cgroup_stats.read(cgroups.group_path(bundle.cgroup_path))
