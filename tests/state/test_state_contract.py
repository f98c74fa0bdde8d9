"""The contract of the state store: every test runs against LMDB and against memory."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from libpod.define import errors
from libpod.define.status import ContainerStatus
from libpod.model.container_state import ContainerState, ExitRecord
from libpod.model.pod import PodState
from libpod.model.volume import VolumeState
from libpod.state.base import Claim, State
from tests.state.samples import a_container, a_full_container, a_pod, a_session, a_volume, an_id, running

NEW = ContainerState()


def put(store: State, *names: str, **changes: object) -> list[str]:
    """Add containers of these names; says their ids."""
    for name in names:
        store.add_container(a_container(name, **changes), NEW)
    return [an_id(name) for name in names]


# ---- containers -------------------------------------------------------------------------------------------------


def test_what_was_added_is_read_back_as_it_was(store: State) -> None:
    config = a_full_container("web")
    store.add_container(config, running())
    assert store.container_config(config.id) == config
    assert store.container_state(config.id) == running()
    assert store.has_container(config.id)
    assert store.container_ids() == [config.id]
    assert store.containers() == [(config, running())]


def test_unknown_keys_of_a_configuration_are_kept(store: State) -> None:
    config = a_container("web", extra={"fromTheFuture": {"a": [1, None]}})
    store.add_container(config, NEW)
    assert store.container_config(config.id).extra == {"fromTheFuture": {"a": [1, None]}}


def test_a_second_container_with_the_same_id_is_refused_and_changes_nothing(store: State) -> None:
    (ctr,) = put(store, "web")
    with pytest.raises(errors.ContainerExistsError, match=r'"' + ctr):
        store.add_container(a_container("other", id=ctr), running())
    assert store.container_state(ctr) == NEW
    assert store.container_config(ctr).name == "web"
    with pytest.raises(errors.NoSuchContainerError):
        store.lookup_container("other")


def test_a_name_belongs_to_one_container_or_pod(store: State) -> None:
    put(store, "web")
    store.add_pod(a_pod("shop"), PodState())
    for taken in ("web", "shop"):
        with pytest.raises(errors.ContainerExistsError, match=f'"{taken}" is already in use by'):
            store.add_container(a_container("x", name=taken), NEW)
        with pytest.raises(errors.PodExistsError, match=f'"{taken}" is already in use by'):
            store.add_pod(a_pod("x", name=taken), PodState())


def test_an_id_belongs_to_one_container_or_pod(store: State) -> None:
    (ctr,) = put(store, "web")
    with pytest.raises(errors.PodExistsError):
        store.add_pod(a_pod("x", id=ctr), PodState())
    store.add_pod(a_pod("shop"), PodState())
    with pytest.raises(errors.ContainerExistsError):
        store.add_container(a_container("x", id=an_id("shop")), NEW)


def test_a_name_is_free_again_after_removal(store: State) -> None:
    (ctr,) = put(store, "web")
    store.remove_container(ctr)
    assert not store.has_container(ctr)
    store.add_container(a_container("web", id=an_id("another")), NEW)
    assert store.lookup_container("web") == an_id("another")


def test_a_container_in_a_pod_that_does_not_exist_is_refused(store: State) -> None:
    with pytest.raises(errors.NoSuchPodError):
        store.add_container(a_container("web", pod=an_id("nowhere")), NEW)
    assert store.container_ids() == []


def test_a_dependency_must_exist(store: State) -> None:
    with pytest.raises(errors.NoSuchContainerError):
        store.add_container(a_container("web", dependencies=(an_id("db"),)), NEW)
    with pytest.raises(errors.NoSuchContainerError):
        store.add_container(a_container("web", net_ns_ctr=an_id("web")), NEW)
    assert store.container_ids() == []


def test_a_dependency_must_be_in_the_same_pod(store: State) -> None:
    store.add_pod(a_pod("one"), PodState())
    store.add_pod(a_pod("two"), PodState())
    (inside,) = put(store, "inside", pod=an_id("one"))
    (outside,) = put(store, "outside")
    for name, pod, dependency in (
        ("a", an_id("two"), inside),
        ("b", "", inside),
        ("c", an_id("one"), outside),
    ):
        with pytest.raises(errors.InvalidArgumentError, match="cannot depend on container"):
            store.add_container(a_container(name, pod=pod, ipc_ns_ctr=dependency), NEW)
    put(store, "d", pod=an_id("one"), ipc_ns_ctr=inside)


def test_a_volume_must_exist(store: State) -> None:
    with pytest.raises(errors.NoSuchVolumeError):
        store.add_container(a_container("web", volumes=["data"]), NEW)
    assert store.container_ids() == []


@pytest.mark.parametrize("word", ["", "a/b", "x" * 256])
def test_a_name_that_cannot_be_a_key_is_refused(store: State, word: str) -> None:
    with pytest.raises(errors.InvalidArgumentError):
        store.add_container(a_container("web", name=word), NEW)
    with pytest.raises(errors.InvalidArgumentError):
        store.add_volume(a_volume(word), VolumeState())
    assert store.container_ids() == []


def test_a_container_others_depend_on_stays(store: State) -> None:
    (base,) = put(store, "base")
    users = put(store, "one", "two", net_ns_ctr=base, dependencies=(base,))
    assert store.dependents(base) == sorted(users)
    with pytest.raises(errors.ContainerInUseError) as caught:
        store.remove_container(base)
    assert caught.value.name == "base"
    assert list(caught.value.users) == sorted(users)
    for user in users:
        store.remove_container(user)
    assert store.dependents(base) == []
    store.remove_container(base)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.container_config(an_id("gone")),
        lambda store: store.container_state(an_id("gone")),
        lambda store: store.save_container_state(an_id("gone"), NEW),
        lambda store: store.remove_container(an_id("gone")),
        lambda store: store.rewrite_container_config(a_container("gone")),
        lambda store: store.dependents(an_id("gone")),
        lambda store: store.exec_sessions(an_id("gone")),
        lambda store: store.add_exec_session(a_session(a_container("gone"), "s")),
        lambda store: store.lookup_container("gone"),
        lambda store: store.lookup_container("a/b"),
        lambda store: store.lookup_container("x" * 600),
        lambda store: store.lookup_container("\udcff\ud800"),
        lambda store: store.container_config("not/an/id"),
        lambda store: store.container_state(""),
    ],
)
def test_a_container_that_is_not_there_is_a_no_such_container_error(
    store: State, ask: Callable[[State], object]
) -> None:
    with pytest.raises(errors.NoSuchContainerError):
        ask(store)


def test_a_saved_state_replaces_the_last_one_whole(store: State) -> None:
    (ctr,) = put(store, "web")
    store.save_container_state(ctr, running())
    store.save_container_state(ctr, ContainerState(status=ContainerStatus.EXITED, exited=True, exit_code=3))
    assert store.container_state(ctr) == ContainerState(
        status=ContainerStatus.EXITED, exited=True, exit_code=3
    )


def test_a_rewritten_configuration_moves_the_name_and_the_edges(store: State) -> None:
    store.add_volume(a_volume("old"), VolumeState())
    store.add_volume(a_volume("new"), VolumeState())
    first, second = put(store, "first", "second")
    (ctr,) = put(store, "web", dependencies=(first,), volumes=["old"], lock_id=5)
    changed = a_container("web", name="shop", dependencies=(second,), volumes=["new"], lock_id=6)
    store.rewrite_container_config(changed)
    assert store.container_config(ctr) == changed
    assert store.lookup_container("shop") == ctr
    with pytest.raises(errors.NoSuchContainerError):
        store.lookup_container("web")
    assert (store.dependents(first), store.dependents(second)) == ([], [ctr])
    assert (store.volume_users("old"), store.volume_users("new")) == ([], [ctr])
    assert store.locks_in_use()[6] == [f"container {ctr}"]
    assert 5 not in store.locks_in_use()


def test_a_rewritten_configuration_cannot_take_a_name_or_change_its_pod(store: State) -> None:
    store.add_pod(a_pod("pod"), PodState())
    put(store, "web", "db")
    with pytest.raises(errors.ContainerExistsError):
        store.rewrite_container_config(a_container("web", name="db"))
    with pytest.raises(errors.ContainerExistsError):
        store.rewrite_container_config(a_container("web", name="pod"))
    with pytest.raises(errors.InvalidArgumentError):
        store.rewrite_container_config(a_container("web", pod=an_id("pod")))
    with pytest.raises(errors.NoSuchContainerError):
        store.rewrite_container_config(a_container("web", dependencies=(an_id("gone"),)))
    assert store.container_config(an_id("web")) == a_container("web")
    assert store.lookup_container("web") == an_id("web")


def test_listings_are_oldest_first_whatever_the_offset_of_the_times(store: State) -> None:
    for name, created in (
        ("third", "2026-01-31T12:00:00.000000002Z"),
        ("first", "2026-01-31T13:30:00+02:00"),
        ("second", "2026-01-31T12:00:00.000000001Z"),
    ):
        store.add_container(a_container(name, created_time=created), NEW)
    assert [config.name for config, _ in store.containers()] == ["first", "second", "third"]
    assert [summary.name for summary, _ in store.container_summaries()] == ["first", "second", "third"]


def test_a_summary_shows_what_a_listing_needs(store: State) -> None:
    store.add_container(a_full_container("web"), running())
    ((summary, state),) = store.container_summaries()
    assert state == running()
    assert (summary.id, summary.name, summary.image) == (
        an_id("web"),
        "web",
        "docker.io/library/busybox:latest",
    )
    assert (summary.command, summary.labels) == (("sleep", "100"), {"app": "shop"})
    assert summary.port_mappings[0].host_port == 8080
    assert (summary.networks, summary.mounts, summary.auto_remove) == (("podman",), ("/data",), True)
    assert summary.created == 1769932800_500000000


# ---- look-ups ---------------------------------------------------------------------------------------------------


def test_a_container_is_found_by_id_by_name_and_by_a_unique_prefix(store: State) -> None:
    (ctr,) = put(store, "web")
    for word in (ctr, "web", ctr[:12], ctr[0]):
        assert store.lookup_container(word) == ctr


def test_an_ambiguous_prefix_is_an_error_that_names_the_matches(store: State) -> None:
    for start in ("abc1", "abc2"):
        store.add_container(a_container(f"n{start}", id=start.ljust(64, "0")), NEW)
    with pytest.raises(errors.AmbiguousNameError) as caught:
        store.lookup_container("abc")
    assert [match[:4] for match in caught.value.matches] == ["abc1", "abc2"]
    assert store.lookup_container("abc1") == "abc1".ljust(64, "0")


def test_an_exact_name_wins_over_a_prefix_and_an_exact_id_over_a_name(store: State) -> None:
    first, second = "a" * 64, "b" * 64
    store.add_container(a_container("x", id=first), NEW)
    store.add_container(a_container("y", id=second, name="aaaa"), NEW)
    assert store.lookup_container("aaaa") == second
    store.add_container(a_container("z", id="c" * 64, name=first), NEW)
    assert store.lookup_container(first) == first


def test_names_do_not_match_by_prefix(store: State) -> None:
    put(store, "zebra")
    with pytest.raises(errors.NoSuchContainerError):
        store.lookup_container("zebr")


def test_prefixes_look_only_among_the_wanted_kind(store: State) -> None:
    store.add_container(a_container("web", id="abc1".ljust(64, "0")), NEW)
    store.add_pod(a_pod("shop", id="abc2".ljust(64, "0")), PodState())
    assert store.lookup_container("abc").startswith("abc1")
    assert store.lookup_pod("abc").startswith("abc2")


def test_a_hit_of_the_other_kind_is_said(store: State) -> None:
    put(store, "web")
    store.add_pod(a_pod("shop"), PodState())
    for word in ("shop", an_id("shop"), an_id("shop")[:20]):
        with pytest.raises(errors.NoSuchContainerError, match="it is a pod"):
            store.lookup_container(word)
    for word in ("web", an_id("web"), an_id("web")[:20]):
        with pytest.raises(errors.NoSuchPodError, match="it is a container"):
            store.lookup_pod(word)


def test_an_empty_word_is_an_invalid_argument(store: State) -> None:
    for ask in (store.lookup_container, store.lookup_pod, store.lookup_volume):
        with pytest.raises(errors.InvalidArgumentError):
            ask("")


# ---- exits ------------------------------------------------------------------------------------------------------


def test_how_a_container_ended_outlives_it(store: State) -> None:
    (ctr,) = put(store, "web")
    with pytest.raises(errors.NoSuchExitCodeError):
        store.exit_record(ctr)
    store.record_exit(ctr, ExitRecord(code=1, finished="2026-01-31T12:00:00Z"))
    store.record_exit(ctr, ExitRecord(code=137, finished="2026-01-31T13:00:00Z", oom_killed=True))
    store.remove_container(ctr)
    assert store.exit_record(ctr) == ExitRecord(code=137, finished="2026-01-31T13:00:00Z", oom_killed=True)


def test_only_old_exits_of_removed_containers_are_forgotten(store: State) -> None:
    kept, old, young = put(store, "kept", "old", "young")
    for ctr, finished in ((kept, "2026-01-01T00:00:00Z"), (old, "2026-01-01T00:00:00Z")):
        store.record_exit(ctr, ExitRecord(code=0, finished=finished))
    store.remove_container(old)
    store.remove_container(young)
    store.record_exit(young, ExitRecord(code=0, finished="2026-03-01T00:00:00+01:00"))
    assert store.prune_exit_records("2026-02-01T00:00:00Z") == 1
    assert store.prune_exit_records("2026-02-01T00:00:00Z") == 0
    assert store.exit_record(kept).code == 0
    assert store.exit_record(young).code == 0
    with pytest.raises(errors.NoSuchExitCodeError):
        store.exit_record(old)


def test_a_container_that_comes_back_under_its_id_has_not_ended_yet(store: State) -> None:
    (ctr,) = put(store, "web")
    store.record_exit(ctr, ExitRecord(code=1, finished="2026-01-31T12:00:00Z"))
    store.remove_container(ctr)
    put(store, "web")
    with pytest.raises(errors.NoSuchExitCodeError):
        store.exit_record(ctr)
    assert store.prune_exit_records("2030-01-01T00:00:00Z") == 0


# ---- exec sessions ----------------------------------------------------------------------------------------------


def test_exec_sessions_belong_to_their_container(store: State) -> None:
    put(store, "web", "db")
    session = a_session(a_container("web"), "s1")
    store.add_exec_session(session)
    store.add_exec_session(a_session(a_container("db"), "s2"))
    assert store.exec_session(session.id) == session
    assert store.exec_sessions(an_id("web")) == [session]
    changed = msgspec.structs.replace(session, pid=5, state=2)
    store.save_exec_session(changed)
    assert store.exec_sessions(an_id("web")) == [changed]
    store.remove_exec_session(session.id)
    assert store.exec_sessions(an_id("web")) == []
    assert len(store.exec_sessions(an_id("db"))) == 1


def test_exec_sessions_are_unique_and_must_exist(store: State) -> None:
    put(store, "web")
    session = a_session(a_container("web"), "s1")
    for ask in (store.exec_session, store.remove_exec_session):
        with pytest.raises(errors.NoSuchExecSessionError):
            ask(session.id)
    with pytest.raises(errors.NoSuchExecSessionError):
        store.save_exec_session(session)
    store.add_exec_session(session)
    with pytest.raises(errors.ExecSessionExistsError):
        store.add_exec_session(session)


def test_exec_sessions_and_claims_go_with_their_container(store: State) -> None:
    (ctr,) = put(store, "web")
    session = a_session(a_container("web"), "s1")
    store.add_exec_session(session)
    store.claim([Claim(kind="port", key="tcp/0.0.0.0/80", owner=ctr)])
    store.remove_container(ctr)
    with pytest.raises(errors.NoSuchExecSessionError):
        store.exec_session(session.id)
    assert store.claims() == []


# ---- pods -------------------------------------------------------------------------------------------------------


def test_a_pod_knows_its_members(store: State) -> None:
    pod = a_pod("shop")
    store.add_pod(pod, PodState(cgroup_path="/libpod/x"))
    members = put(store, "one", "two", pod=pod.id)
    put(store, "stranger")
    assert store.pod_containers(pod.id) == sorted(members)
    assert store.pod_config(pod.id) == pod
    assert store.pod_state(pod.id) == PodState(cgroup_path="/libpod/x")
    store.save_pod_state(pod.id, PodState(infra_container_id=members[0]))
    assert store.pods() == [(pod, PodState(infra_container_id=members[0]))]
    store.remove_container(members[0])
    assert store.pod_containers(pod.id) == [members[1]]


def test_a_pod_with_members_stays(store: State) -> None:
    store.add_pod(a_pod("shop"), PodState())
    (ctr,) = put(store, "one", pod=an_id("shop"))
    with pytest.raises(errors.InUseError):
        store.remove_pod(an_id("shop"))
    store.remove_container(ctr)
    store.remove_pod(an_id("shop"))
    with pytest.raises(errors.NoSuchPodError):
        store.lookup_pod("shop")
    put(store, "shop")


def test_members_of_a_pod_are_removed_together_with_their_edges(store: State) -> None:
    store.add_volume(a_volume("data"), VolumeState())
    store.add_pod(a_pod("shop"), PodState())
    (base,) = put(store, "base", pod=an_id("shop"), volumes=["data"])
    put(store, "user", pod=an_id("shop"), net_ns_ctr=base)
    store.remove_pod_containers(an_id("shop"))
    assert store.container_ids() == []
    assert store.pod_containers(an_id("shop")) == []
    assert store.volume_users("data") == []
    store.remove_pod_containers(an_id("shop"))
    store.remove_pod(an_id("shop"))


def test_a_pod_can_be_renamed_unless_the_name_is_taken(store: State) -> None:
    store.add_pod(a_pod("shop"), PodState())
    put(store, "web")
    store.rewrite_pod_config(a_pod("shop", name="bazaar", lock_id=9))
    assert store.lookup_pod("bazaar") == an_id("shop")
    assert store.locks_in_use()[9] == [f"pod {an_id('shop')}"]
    with pytest.raises(errors.PodExistsError):
        store.rewrite_pod_config(a_pod("shop", name="web"))
    with pytest.raises(errors.NoSuchPodError):
        store.lookup_pod("shop")


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.pod_config(an_id("gone")),
        lambda store: store.pod_state(an_id("gone")),
        lambda store: store.save_pod_state(an_id("gone"), PodState()),
        lambda store: store.remove_pod(an_id("gone")),
        lambda store: store.remove_pod_containers(an_id("gone")),
        lambda store: store.rewrite_pod_config(a_pod("gone")),
        lambda store: store.pod_containers(an_id("gone")),
        lambda store: store.lookup_pod("gone"),
    ],
)
def test_a_pod_that_is_not_there_is_a_no_such_pod_error(store: State, ask: Callable[[State], object]) -> None:
    with pytest.raises(errors.NoSuchPodError):
        ask(store)


# ---- volumes ----------------------------------------------------------------------------------------------------


def test_a_volume_knows_its_users(store: State) -> None:
    store.add_volume(a_volume("data", labels={"a": "b"}), VolumeState(needs_copy_up=True))
    users = put(store, "one", "two", volumes=["data"])
    assert store.volume_users("data") == sorted(users)
    with pytest.raises(errors.VolumeInUseError):
        store.remove_volume("data")
    for user in users:
        store.remove_container(user)
    store.remove_volume("data")
    assert not store.has_volume("data")
    assert store.volumes() == []


def test_a_volume_is_read_back_and_rewritten(store: State) -> None:
    config = a_volume("data", lock_id=1)
    store.add_volume(config, VolumeState(needs_copy_up=True))
    with pytest.raises(errors.VolumeExistsError):
        store.add_volume(config, VolumeState())
    assert store.volume_state("data") == VolumeState(needs_copy_up=True)
    store.save_volume_state("data", VolumeState(mount_count=2, mount_point="/x"))
    changed = a_volume("data", lock_id=2, labels={"k": "v"})
    store.rewrite_volume_config(changed)
    assert store.volumes() == [(changed, VolumeState(mount_count=2, mount_point="/x"))]
    assert store.volume_config("data") == changed
    assert dict(store.locks_in_use()) == {2: ["volume data"]}


def test_a_volume_is_found_by_name_and_by_a_unique_prefix(store: State) -> None:
    for name in ("data", "data-old", "logs"):
        store.add_volume(a_volume(name), VolumeState())
    assert store.lookup_volume("data") == "data"
    assert store.lookup_volume("data-") == "data-old"
    assert store.lookup_volume("l") == "logs"
    with pytest.raises(errors.AmbiguousNameError):
        store.lookup_volume("dat")
    for word in ("x", "a/b", "y" * 600):
        with pytest.raises(errors.NoSuchVolumeError):
            store.lookup_volume(word)


@pytest.mark.parametrize(
    "ask",
    [
        lambda store: store.volume_config("gone"),
        lambda store: store.volume_state("gone"),
        lambda store: store.save_volume_state("gone", VolumeState()),
        lambda store: store.remove_volume("gone"),
        lambda store: store.rewrite_volume_config(a_volume("gone")),
        lambda store: store.volume_users("gone"),
    ],
)
def test_a_volume_that_is_not_there_is_a_no_such_volume_error(
    store: State, ask: Callable[[State], object]
) -> None:
    with pytest.raises(errors.NoSuchVolumeError):
        ask(store)


def test_volumes_have_a_name_space_of_their_own(store: State) -> None:
    store.add_volume(a_volume("web"), VolumeState())
    put(store, "web")


# ---- claims and locks -------------------------------------------------------------------------------------------


def test_claims_are_all_or_nothing_and_name_the_owner(store: State) -> None:
    store.claim([Claim(kind="address", key="podman/10.89.0.5", owner="one")])
    with pytest.raises(errors.InUseError) as caught:
        store.claim(
            [
                Claim(kind="address", key="podman/10.89.0.6", owner="two"),
                Claim(kind="address", key="podman/10.89.0.5", owner="two"),
            ]
        )
    assert caught.value.users == ("one",)
    assert [claim.key for claim in store.claims()] == ["podman/10.89.0.5"]


def test_a_claim_of_the_same_owner_is_no_conflict(store: State) -> None:
    claim = Claim(kind="port", key="tcp/0.0.0.0/80", owner="one")
    store.claim([claim, claim])
    store.claim([claim])
    assert store.claims() == [claim]


def test_claims_are_listed_by_owner_and_kind_and_given_back(store: State) -> None:
    mine = [Claim(kind="address", key="n/1", owner="one"), Claim(kind="port", key="tcp/80", owner="one")]
    other = Claim(kind="port", key="tcp/81", owner="two")
    store.claim([*mine, other])
    store.release_claims("one", [other, mine[1]])
    assert store.claims() == [mine[0], other]
    store.claim([mine[1]])
    assert store.claims(owner="one") == mine
    assert store.claims(kind="port") == [mine[1], other]
    assert store.claims(owner="one", kind="port") == [mine[1]]
    store.release_claims("one")
    store.release_claims("one")
    assert store.claims() == [other]
    store.claim([Claim(kind="port", key="tcp/80", owner="two")])


def test_lock_numbers_are_not_handed_out_twice_while_held(store: State) -> None:
    numbers = [store.allocate_lock() for _ in range(5)]
    assert numbers == [0, 1, 2, 3, 4]
    store.free_lock(3)
    store.free_lock(1)
    assert [store.allocate_lock() for _ in range(3)] == [1, 3, 5]


def test_a_number_that_a_configuration_names_is_not_handed_out(store: State) -> None:
    put(store, "web", lock_id=0)
    store.add_volume(a_volume("data", lock_id=1), VolumeState())
    store.add_pod(a_pod("shop", lock_id=1), PodState())
    assert store.allocate_lock() == 2
    assert dict(store.locks_in_use()) == {
        0: [f"container {an_id('web')}"],
        1: [f"pod {an_id('shop')}", "volume data"],
    }


def test_giving_back_a_number_that_is_not_held_does_nothing(store: State) -> None:
    store.free_lock(7)
    first = store.allocate_lock()
    store.free_lock(first)
    store.free_lock(first)
    assert [store.allocate_lock(), store.allocate_lock()] == [first, first + 1]


# ---- the whole --------------------------------------------------------------------------------------------------


def test_directories_are_recorded_once_and_must_not_change(store: State) -> None:
    store.check_paths({"graphroot": "/a", "volumes": "/v"})
    store.check_paths({"graphroot": "/a"})
    store.check_paths({"graphroot": "/a", "tmpdir": "/t"})
    with pytest.raises(errors.ConfigError, match='tmpdir "/t"'):
        store.check_paths({"tmpdir": "/u"})
    store.rewrite_paths({"tmpdir": "/u"})
    store.check_paths({"graphroot": "/a", "volumes": "/v", "tmpdir": "/u"})


def test_after_closing_everything_says_so_and_closing_again_is_fine(store: State) -> None:
    put(store, "web")
    store.close()
    store.close()
    for ask in (
        lambda: store.containers(),
        lambda: store.lookup_container("web"),
        lambda: store.add_container(a_container("x"), NEW),
        lambda: store.claims(),
        lambda: store.refresh(),
        lambda: store.repair(),
    ):
        with pytest.raises(errors.RuntimeClosedError):
            ask()


def test_a_sound_store_needs_no_repair(store: State) -> None:
    store.add_pod(a_pod("shop"), PodState())
    store.add_volume(a_volume("data"), VolumeState())
    (base,) = put(store, "base", pod=an_id("shop"), lock_id=3)
    put(store, "user", pod=an_id("shop"), volumes=["data"], net_ns_ctr=base)
    store.add_exec_session(a_session(a_container("base"), "s"))
    store.claim([Claim(kind="port", key="tcp/80", owner=base)])
    assert store.repair() == []
    assert store.repair(thorough=True) == []
