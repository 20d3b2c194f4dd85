"""System calls that a notebook may not make: memory that no limit counts, other processes, namespaces, keys, sockets
that could lead out, locks on files that the host uses too.

The filter is a program for the kernel's seccomp (Linux, Documentation/userspace-api/seccomp_filter.rst), put on after
the room is furnished and inherited by everything that a notebook starts. A forbidden call fails with ``EPERM``, a lock
with ``ENOSYS``, as on a file system that has none: libraries then do without.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import struct

__all__ = ["FORBIDDEN", "forbid"]

FORBIDDEN = {
    # name: (x86_64, aarch64)
    "shmget": (29, 194),  # memory that belongs to no process
    "msgget": (68, 186),
    "semget": (64, 190),
    "mq_open": (240, 180),
    "memfd_create": (319, 279),
    "memfd_secret": (447, 447),
    "vmsplice": (278, 75),
    "inotify_init": (253, 26),  # and of things that all users of the machine share
    "inotify_init1": (294, 26),
    "fanotify_init": (300, 262),
    "landlock_create_ruleset": (444, 444),
    "io_setup": (206, 0),
    "ptrace": (101, 117),  # other processes
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    "pidfd_getfd": (438, 438),
    "unshare": (272, 97),  # namespaces, and file systems in them
    "setns": (308, 268),
    "mount": (165, 40),
    "umount2": (166, 39),
    "pivot_root": (155, 41),
    "open_tree": (428, 428),
    "move_mount": (429, 429),
    "fsopen": (430, 430),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fspick": (433, 433),
    "mount_setattr": (442, 442),
    "add_key": (248, 217),  # keys of whoever started the grader
    "request_key": (249, 218),
    "keyctl": (250, 219),
    "bpf": (321, 280),  # rarely needed, often at fault
    "perf_event_open": (298, 241),
    "userfaultfd": (323, 282),
    "io_uring_setup": (425, 425),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "sched_setaffinity": (203, 122),  # the processors of others
}
"""Numbers of the calls by machine."""

CLONE, CLONE3 = (56, 220), 435
SOCKET, SOCKETPAIR, SETSOCKOPT = (41, 198), (53, 199), (54, 208)
FLOCK, FCNTL, MMAP = (73, 32), (72, 25), (9, 222)

NAMESPACES = 0x7E020000
"""The flags of ``clone`` that make namespaces."""
UNIX = 1
"""The one family of sockets that is left: the others reach out, or hold memory that no limit counts."""
OF_SOCKETS, SEND_BUFFER = 1, 7
"""The option by which a socket may hold more than the usual."""
LOCKS = (6, 7, 37, 38, 1024)
"""Commands of ``fcntl`` that lock a file, also one of the host's that is only shown, and so keep the host waiting:
``F_SETLK``, ``F_SETLKW``, ``F_OFD_SETLK``, ``F_OFD_SETLKW``, ``F_SETLEASE``."""
SHARED, NAMELESS = 0x01, 0x20
"""The flags of memory that several processes share without a file: it stays when all of it but a page is unmapped, and
then counts as nobody's."""

MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
"""Column of the numbers, and what the kernel calls the machine."""

OTHER_NUMBERS = 0x40000000
"""From here on x86_64 numbers its calls once more."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
NUMBER, MACHINE, ARGUMENTS = 0, 4, 16
ALLOW, FAIL = 0x7FFF0000, 0x00050000
SET_SECCOMP, FILTER, SET_NO_NEW_PRIVILEGES = 22, 2, 38


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def forbid() -> None:
    """Put the filter on this process and on all that it will start.

    Raises:
        OSError: if the kernel takes no filter, or the machine is another than those of ``MACHINES``.
    """
    program = _instructions(platform.machine())
    libc = ctypes.CDLL(None, use_errno=True)
    about = _Program(len(program) // 8, program)
    zero = ctypes.c_ulong(0)
    status = libc.prctl(SET_NO_NEW_PRIVILEGES, ctypes.c_ulong(1), zero, zero, zero)
    if status or libc.prctl(SET_SECCOMP, ctypes.c_ulong(FILTER), ctypes.byref(about), zero, zero):
        raise OSError(ctypes.get_errno(), "the kernel takes no filter of system calls")


def _instructions(machine: str) -> bytes:
    """The program for a machine: unless told otherwise, a test skips the line below it when it fails."""
    if machine not in MACHINES:
        raise OSError(f"no filter of system calls is known for {machine}, only for {' and '.join(MACHINES)}")
    column, name = MACHINES[machine]
    refuse, missing = _line(RETURN, FAIL | errno.EPERM), _line(RETURN, FAIL | errno.ENOSYS)
    lines = [_line(LOAD, MACHINE), _line(EQUAL, name, 1, 0), refuse, _line(LOAD, NUMBER)]
    lines += [_line(AT_LEAST, OTHER_NUMBERS), refuse]
    for numbers in FORBIDDEN.values():
        lines += [_line(EQUAL, numbers[column]), refuse]
    # The flags of clone3 lie where no filter sees them; callers that are told that there is no clone3 use clone.
    lines += [_line(EQUAL, CLONE3), missing, _line(EQUAL, FLOCK[column]), missing]
    rules = _rules(refuse, missing)
    lines += [line for numbers, of_call in rules.items() for line in _where(numbers[column], *of_call)]
    return b"".join([*lines, _line(RETURN, ALLOW)])


def _rules(refuse: bytes, missing: bytes) -> dict[tuple[int, int], list[bytes]]:
    """What is tested of the arguments, by call."""
    other_family = [_argument(0), _line(EQUAL, UNIX, 1, 0), refuse]
    of_sockets, shared = _line(EQUAL, OF_SOCKETS, 0, 3), _line(ANY_BIT, SHARED, 0, 2)
    return {
        CLONE: [_argument(0), _line(ANY_BIT, NAMESPACES), refuse],
        SOCKET: other_family,
        SOCKETPAIR: other_family,
        SETSOCKOPT: [_argument(1), of_sockets, _argument(2), _line(EQUAL, SEND_BUFFER), refuse],
        FCNTL: [_argument(1), *(line for lock in LOCKS for line in (_line(EQUAL, lock), missing))],
        MMAP: [_argument(3), shared, _line(ANY_BIT, NAMELESS), refuse],
    }


def _where(number: int, *lines: bytes) -> list[bytes]:
    """What holds for one call only; it is allowed where none of the lines returns."""
    return [_line(EQUAL, number, 0, len(lines) + 1), *lines, _line(RETURN, ALLOW)]


def _argument(index: int) -> bytes:
    """Load the lower half of an argument; the kernel reads no more of these."""
    return _line(LOAD, ARGUMENTS + 8 * index)


def _line(what: int, value: int, if_true: int = 0, if_false: int = 1) -> bytes:
    jumps = (if_true, if_false) if what in (EQUAL, AT_LEAST, ANY_BIT) else (0, 0)
    return struct.pack("=HBBI", what, *jumps, value)
