"""The spool: nothing whole is lost, whatever happens around it; and memory is given back."""

import os
import resource
import signal

from hypothesis import given
from hypothesis import strategies as st

from instrumentation.ids import new_span_id
from instrumentation.recorder import Recorder
from instrumentation.records import DONE, DROPPED, Record
from instrumentation.spool import _HEADER, Spool, parse

texts = st.text(st.characters(codec="utf-8"), max_size=30)
values = st.one_of(
    texts, st.none(), st.integers(-(2**63), 2**63 - 1), st.tuples(texts, texts, texts)
)
records = st.lists(st.tuples(st.just(DONE), values, values).map(tuple), max_size=8)


def spooled(*written: Record) -> list[bytes]:
    """The bytes of each record, as a spool has them."""
    chunks, spool = [], Spool()
    for record in written:
        before = os.fstat(spool._fd).st_size
        spool.append(record)
        chunks.append(os.pread(spool._fd, 1 << 20, before))
    return chunks


@given(records)
def test_what_is_written_is_read(written: list[Record]) -> None:
    data = b"".join(spooled(*written))
    assert parse(data) == (written, len(data))


@given(records, st.data())
def test_a_cut_loses_nothing_whole(written: list[Record], data: st.DataObject) -> None:
    whole = b"".join(spooled(*written))
    cut = data.draw(st.integers(0, len(whole)))
    first, used = parse(whole[:cut])
    second, rest = parse(whole[used:])
    assert first + second == written
    assert used + rest == len(whole)


@given(records, records, st.binary(min_size=1, max_size=60), st.data())
def test_damage_costs_only_what_is_damaged(
    before: list[Record], after: list[Record], junk: bytes, data: st.DataObject
) -> None:
    victim = bytearray(spooled((DONE, "the victim", 1))[0])
    place = data.draw(st.integers(0, len(victim) - 1))
    victim[place : place + len(junk)] = junk
    tail = (*after, (DONE, "the last", 2))
    whole = b"".join([*spooled(*before), bytes(victim), *spooled(*tail)])
    found, used = parse(whole)
    intact = [record for record in found if record[0] != DROPPED]
    lost = [record for record in found if record[0] == DROPPED]
    if (DONE, "the victim", 1) in found:
        return  # the junk happened to be what stood there
    assert intact == [*before, *tail]
    assert lost == [(DROPPED, 1)] or (b"\xf5TQ\x01" in victim[1:] and len(lost) > 1)
    assert used == len(whole)


@given(st.binary(max_size=300))
def test_no_bytes_whatever_raise(data: bytes) -> None:
    found, used = parse(data)
    assert all(record == (DROPPED, 1) for record in found)
    assert 0 <= used <= len(data)


def test_what_could_not_be_written_is_counted() -> None:
    spool = Spool()
    spool.append((DONE, object()))  # type: ignore[arg-type]
    spool.append((DONE, object()))  # type: ignore[arg-type]
    spool.append((DONE, "fine"))
    assert spool.drain() == [(DONE, "fine"), (DROPPED, 2)]
    assert spool.drain() == []


def test_a_file_that_may_grow_no_more_is_counted_from_any_child() -> None:
    spool = Spool()
    children = []
    for _ in range(2):
        children.append(os.fork())
        if children[-1] == 0:
            _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1, hard))  # as `ulimit -f` may have it
            for _ in range(100):
                spool.append((DONE, "x"))
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    drained = spool.drain() + spool.drain()
    lost = sum(record[1] for record in drained if record[0] == DROPPED)  # type: ignore[misc]
    assert lost >= 199, "the byte of the first will be found when another follows"
    assert (DONE, "x") not in drained


def test_losses_beyond_all_counting_do_not_block() -> None:
    spool = Spool()
    for _ in range(70_000):
        spool.append((DONE, object()))  # type: ignore[arg-type]
    assert spool.drain() == [(DROPPED, 65_536)]


def test_drained_memory_is_given_back() -> None:
    spool = Spool()
    record = (DONE, "x" * 1000)
    for _ in range(10):
        for _ in range(1000):
            spool.append(record)
        assert len(spool.drain()) == 1000
    state = os.fstat(spool._fd)
    assert state.st_size > 10_000_000
    assert state.st_blocks * 512 < 2_200_000
    assert spool.pending_bytes == 0


def test_records_of_a_killed_child_arrive() -> None:
    recorder = Recorder()
    recorder.append((DONE, "parent"))
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        recorder.append((DONE, "child"))
        os.write(recorder._spool._fd, _HEADER.pack(b"\xf5TQ\x01", 100, 0) + b"torn")
        os.write(write, b"x")
        signal.pause()
    os.read(read, 1)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert recorder.drain() == ([(DONE, "parent"), (DONE, "child")], [], b"", b"")
    grandchild = os.fork()
    if grandchild == 0:
        recorder.append((DONE, "next child"))
        os._exit(0)
    os.waitpid(grandchild, 0)
    assert recorder.drain() == ([(DROPPED, 1), (DONE, "next child")], [], b"", b"")
    assert len(recorder) == 0


def test_ids_are_not_repeated_in_forked_children() -> None:
    from instrumentation.propagation import sender_ids

    read, write = os.pipe()
    children = []
    for _ in range(3):
        children.append(os.fork())
        if children[-1] == 0:
            os.write(write, f"{new_span_id()} {sender_ids(0)[0]}\n".encode())
            os._exit(0)
    for child in children:
        os.waitpid(child, 0)
    os.write(write, f"{new_span_id()} {sender_ids(0)[0]}\n".encode())
    ids = os.read(read, 4096).decode().split()
    assert len(set(ids)) == len(ids) == 8
