"""Cells of notebooks that mean harm, and how they are answered. Run them nowhere but in the sandbox."""

CHANNEL = r"""
import gc, json, socket, struct
channel = next(thing for thing in gc.get_objects() if isinstance(thing, socket.socket))
def tell(message, content=b''):
    text = json.dumps(message).encode()
    channel.sendall(struct.pack('!II', len(text), len(content)) + text + content)
"""
"""Finds the grader's channel."""

DISRUPTIVE = {
    "endless Python": r"""
while True:
    pass
""",
    "endless C": "sum(range(10**15))",
    "endless sleep": r"""
import time
time.sleep(10**6)
""",
    "os._exit": r"""
import os
os._exit(0)
""",
    "sys.exit": r"""
import sys
sys.exit('enough')
""",
    "abort": r"""
import os
os.abort()
""",
    "segmentation fault": r"""
import ctypes
ctypes.string_at(0)
""",
    "recursion without a limit": r"""
import sys
sys.setrecursionlimit(10**9)
f = lambda: f()
f()
""",
    "signals ignored": r"""
import signal
for number in set(signal.Signals) - {signal.SIGKILL, signal.SIGSTOP}:
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
while True:
    pass
""",
    "kill everybody": r"""
import os
for pid in range(1, 500):
    try:
        os.kill(pid, 9)
    except OSError:
        pass
""",
    "kill the group": r"""
import os, signal
os.kill(-1, signal.SIGKILL)
""",
    "stop everybody": r"""
import os, signal
os.kill(-1, signal.SIGSTOP)
os.kill(os.getpid(), signal.SIGSTOP)
""",
    "fork bomb": r"""
import os
while True:
    try:
        os.fork()
    except OSError:
        pass
""",
    "thread bomb": r"""
import threading, time
while True:
    threading.Thread(target=time.sleep, args=(10**6,)).start()
""",
    "orphans": r"""
import os, time
if not os.fork():
    os.setsid()
    if not os.fork():
        time.sleep(10**6)
    os._exit(0)
""",
    "memory bomb": r"""
hoard = []
while True:
    hoard.append(bytearray(b'x') * 2**24)
""",
    "memory bomb in C": r"""
import torch
torch.ones(10**12)
""",
    "memory bomb in many processes": r"""
import os, time
for _ in range(20):
    if not os.fork():
        hoard = bytearray(b'x') * (7 * 2**27)
        time.sleep(10**6)
time.sleep(10**6)
""",
    "disk filler": r"""
import itertools
for n in itertools.count():
    for folder in ('/tmp', '/dev/shm', '/dev', '/'):
        try:
            open(f'{folder}/{n}', 'wb').write(bytes(2**20))
        except OSError:
            if n > 50:
                raise
""",
    "many small files": r"""
for n in range(10**7):
    open(f'/tmp/{n}', 'w').close()
""",
    "endless output": r"""
while True:
    print('x' * 10**6)
""",
    "delete everything": r"""
import shutil
for path in ('/tmp', '/usr', '/work', '/root', '/home', '/var', '/dev/shm'):
    shutil.rmtree(path, ignore_errors=True)
""",
    "names deleted": r"""
import builtins
for name in list(vars(builtins)):
    delattr(builtins, name)
""",
    "standard streams closed": r"""
import os
for number in range(3):
    os.close(number)
""",
    "every file closed": r"""
import os
os.closerange(0, 4096)
""",
    "noise on every file": r"""
import os
for number in range(3, 64):
    try:
        os.write(number, b'\xff' * 4096)
    except OSError:
        pass
""",
    "numpy and torch patched": r"""
import numpy, torch
numpy.asarray = torch.tensor = torch.Tensor.__add__ = lambda *a, **k: 1 / 0
torch.Tensor.sum = lambda *a, **k: 0
""",
    "json and sockets patched": r"""
import json, socket, struct
json.dumps = json.loads = lambda *a, **k: {}
socket.socket.sendall = lambda *a: None
struct.Struct.pack = lambda *a: b''
""",
    "a tracer": r"""
import sys
def tracer(*a):
    sys._getframe(1).f_globals.clear()
    return tracer
sys.settrace(tracer)
""",
    "exit at the end": r"""
import atexit, os, threading
atexit.register(os._exit, 1)
threading.Timer(0.2, os._exit, (1,)).start()
""",
    "prlimit": r"""
import resource
for pid in range(1, 200):
    try:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (0, 0))
    except OSError:
        pass
""",
    "files taken from other processes": r"""
import ctypes, os
for pid in [int(name) for name in os.listdir('/proc') if name.isdigit() and int(name) != os.getpid()]:
    try:
        process = os.pidfd_open(pid)
    except OSError:
        continue
    for number in range(64):
        taken = ctypes.CDLL(None).syscall(438, process, number, 0)
        if taken >= 0:
            try:
                os.write(taken, b'{"error": "taken"}' + bytes([10]))
            except OSError:
                pass
""",
    "questions without end": r"""
while True:
    check('ch02.none', print)
""",
    "messages without end": CHANNEL
    + r"""
while True:
    tell({'raised': 3, 'kind': 'E', 'message': 'again'})
""",
    "a message that never ends": CHANNEL
    + r"""
import time
channel.sendall(struct.pack('!II', 8 * 2**20, 0))
while True:
    channel.sendall(b' ')
    time.sleep(0.1)
""",
    "a message of a million lists": CHANNEL
    + r"""
text = b'[' + b'[],' * (2**21) + b'[]]'
channel.sendall(struct.pack('!II', len(text), 0) + text)
""",
    "more bytes than are taken": CHANNEL
    + r"""
channel.sendall(struct.pack('!II', 2**32 - 1, 2**32 - 1))
""",
    "open files sent": CHANNEL
    + r"""
for _ in range(100):
    socket.send_fds(channel, [b''], [0, 1, 2])
    socket.send_fds(channel, [b' '], [0, 1, 2])
""",
    "the channel replaced": CHANNEL
    + r"""
import os
readable, writable = os.pipe()
for number in range(3, 64):
    if number not in (readable, writable):
        try:
            os.dup2(writable, number)
        except OSError:
            pass
""",
    "a second process at the channel": CHANNEL
    + r"""
import os
if not os.fork():
    while True:
        tell({'done': True})
""",
    "memory of nobody": r"""
import ctypes
libc = ctypes.CDLL(None)
libc.shmat.restype = ctypes.c_void_p
for _ in range(64):
    segment = libc.shmget(0, 2**26, 0o1600)
    place = libc.shmat(segment, None, 0)
    if segment < 0 or place == 2**64 - 1:
        raise OSError('none')
    ctypes.memset(place, 1, 2**26)
    libc.shmdt(ctypes.c_void_p(place))
""",
    "files in memory": r"""
import os
for _ in range(64):
    os.write(os.memfd_create('more'), bytes(2**26))
""",
    "children that go on with the notebook": r"""
import os
for _ in range(3):
    os.fork()
""",
    "children that fail": r"""
import os, time
for _ in range(20):
    if not os.fork():
        raise ValueError('in a child')
time.sleep(0.2)
""",
    "shared memory in many processes": r"""
import mmap, os, time
for _ in range(20):
    if not os.fork():
        shared = mmap.mmap(-1, 2**28)
        shared.write(bytes(2**28))
        time.sleep(10**6)
time.sleep(10**6)
""",
    "shared memory that no process has any more": r"""
import ctypes
libc = ctypes.CDLL(None)
libc.mmap.restype = ctypes.c_void_p
libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_long]
for _ in range(64):
    place = libc.mmap(None, 2**28, 3, 0x21, -1, 0)
    if place == 2**64 - 1:
        raise OSError('none')
    ctypes.memset(place, 1, 2**28)
    libc.munmap(ctypes.c_void_p(place + 4096), ctypes.c_size_t(2**28 - 4096))
""",
    "memory in sockets": r"""
import os, socket, time
for _ in range(20):
    if not os.fork():
        pairs = []
        while True:
            try:
                pairs.append(socket.socketpair())
            except OSError:
                time.sleep(10**6)
            for end in pairs[-1]:
                end.setblocking(False)
                try:
                    while True:
                        end.send(bytes(2**16))
                except OSError:
                    pass
time.sleep(10**6)
""",
    "memory in many processes, while it talks": r"""
import os, time
for _ in range(20):
    if not os.fork():
        hoard = bytearray(b'x') * (7 * 2**27)
        time.sleep(10**6)
while True:
    check('ch02.none', print)
""",
    "locks on everything": r"""
import fcntl, os, sys
held = []
for path in (os.__file__, sys.executable, fcntl.__file__, sys.prefix, '/usr/bin', '/'):
    held.append(os.open(path, os.O_RDONLY))
    fcntl.flock(held[-1], fcntl.LOCK_EX)
while True:
    pass
""",
    "the processors of others": r"""
import os, torch
torch.set_num_threads(64)
for _ in range(64):
    try:
        if not os.fork():
            os.sched_setaffinity(0, range(64))
    except OSError:
        pass
while True:
    torch.randn(500, 500) @ torch.randn(500, 500)
""",
    "a file system of its own": r"""
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
if libc.unshare(0x10020000) or libc.mount(b'tmpfs', b'/tmp', b'tmpfs', 0, b'size=1t'):
    raise OSError(ctypes.get_errno(), 'no')
for n in range(64):
    open(f'/tmp/{n}', 'wb').write(bytes(2**26))
""",
    "the first process traced": r"""
import ctypes, os
libc = ctypes.CDLL(None)
for pid in (1, os.getppid()):
    if libc.ptrace(16, pid, 0, 0) == 0:
        libc.ptrace(8, pid, 0, 0)
    for name in ('mem', 'maps', 'environ', 'fd/0', 'root/etc/passwd'):
        try:
            open(f'/proc/{pid}/{name}', 'rb').read(10)
        except (OSError, ValueError):
            pass
""",
    "as many processes as there may be, all at work": r"""
import os
for _ in range(100):
    try:
        if not os.fork():
            os.setsid()
            while True:
                pass
    except OSError:
        break
while True:
    pass
""",
}
"""Put between two right answers. The right answers must still count wherever the cell alone is to blame."""

CHEATING = {
    "check says right": r"""
import mechlib.checks as c
from mechlib.checks import asking, judging
c.check = asking.check = lambda *a, **k: print('right')
judging.judge = lambda *a: judging.Judgement('right', 'right (2 points)')
""",
    "the record": r"""
from mechlib.checks import asking
for name in ('ch02.total', 'ch02.ends'):
    asking.RECORD.judged(name, 'right')
""",
    "comparison patched": r"""
import torch
from mechlib.checks import values, judging
values.agree = judging.agree = lambda *a: True
values.compare = judging.compare = lambda *a: None
torch.Tensor.isclose = lambda *a, **k: torch.tensor(True)
torch.equal = torch.allclose = lambda *a, **k: True
""",
    "values lie about equality": r"""
import torch
class Yes(torch.Tensor):
    def __eq__(self, other): return True
    def isclose(self, *a, **k): return torch.ones(())
    @property
    def shape(self): return torch.Size([3])
def total(x, factor):
    return torch.zeros(len(x)).as_subclass(Yes)
def ends(x, factor):
    return Yes(), Yes()
""",
    "not a number": r"""
def total(x, factor):
    return x.sum(-1) * float('nan')
def ends(x, factor):
    return x[:, 0] / 0, float('nan')
""",
    "infinitely coarse": r"""
import torch
from mechlib.checks import values
from mechlib.grading.worker import cells
coarse = lambda value, fields: tuple(values.Reading(torch.zeros(3).double(), 2.0**-7) for f in fields)
values.read_fields = cells.read_fields = coarse
""",
    "a precision that no dtype has": r"""
import torch
from mechlib.checks import values
from mechlib.grading.worker import cells
coarse = lambda value, fields: tuple(values.Reading(torch.zeros(3).double(), 1e9) for f in fields)
values.read_fields = cells.read_fields = coarse
""",
    "eight bits": r"""
import torch
def total(x, factor):
    return (x * factor).sum(-1).to(torch.float8_e5m2)
""",
    "reference in mechlib": r"""
from mechlib.checks import registry
try:
    from mechlib.questions.ch02 import QUESTIONS
    total = ends = QUESTIONS[0].reference
except Exception:
    pass
total = registry.find('ch02.total').reference
""",
    "right messages forged": r"""
import gc, json, socket, struct
for thing in gc.get_objects():
    if isinstance(thing, socket.socket):
        for message in ({'done': True}, {'score': 5}, {'outcomes': [{'status': 'right'}]}):
            text = json.dumps(message).encode()
            thing.sendall(struct.pack('!II', len(text), 0) + text)
""",
    "results forged": r"""
import json, os, pathlib
for folder in ('/tmp', '/autograder/results', '/work', '.', '..'):
    for name in ('results.json', 'state.jsonl'):
        try:
            pathlib.Path(folder, name).write_text(json.dumps({'score': 100}))
        except OSError:
            pass
""",
    "outcomes of a patched run": r"""
import torch
from mechlib.checks import running
from mechlib.grading.worker import cells
cells.run = lambda answer, case: running.Returned(None)
cells.told = lambda *a: {'status': 'right', 'changed': [], 'arrays': []}
""",
    "inputs replayed": r"""
seen = []
def total(x, factor):
    seen.append((x.clone(), factor))
    return seen[0][0].sum(-1) * seen[0][1] + 1
def ends(x, factor):
    return seen[-1]
""",
    "detects that it is graded": r"""
import os, sys
graded = 'mechlib.grading.worker.cells' in sys.modules or os.getpid() < 100
def total(x, factor):
    return (x * factor).sum(-1) + (0 if not graded else 1)
""",
    "odd arrays forged": r"""
from mechlib.grading.worker import cells
odd = [
    {'dtype': 'float64', 'shape': [0, 2**26, 2**26, 2**26], 'precision': 0.0},
    {'dtype': 'float64', 'shape': [1] * 64, 'precision': []},
    {'dtype': 'bool', 'shape': [3], 'precision': 0.0},
    {'dtype': {}, 'shape': [3], 'precision': 0.0},
]
cells.told = lambda *a: {'changed': [], 'arrays': [odd.pop()] if odd else []}
""",
    "the names of other answers": r"""
def total(x, factor): return ends(x, factor)[0]
def ends(x, factor): return total.__code__
for name in ('ch02.ends', 'ch02.total', 'ch02.none', 'ch01.work', '', 'x' * 10**6):
    try:
        check(name, total)
    except Exception:
        pass
""",
    "every number": r"""
for guess in range(300):
    check('ch02.total', lambda x, factor: x[:, 0] * 0 + guess)
    check('ch02.ends', lambda x, factor: (x[:, 0] * factor, guess))
""",
}
"""Put before and after two wrong answers. None may earn a point."""

ANSWERS = {
    "endless": ("while True: pass", "timeout"),
    "exits": ("import os; os._exit(0)", "error"),
    "raises SystemExit": ("raise SystemExit(0)", "error"),
    "raises what cannot be shown": ("raise type('E', (Exception,), {'__str__': lambda self: 1 / 0})()", "error"),
    "nothing": ("return None", "unanswered"),
    "an object": ("return object()", "wrong"),
    "itself in a list": ("me = []; me.append(me); return me", "wrong"),
    "a huge array": ("return torch.zeros(1).expand(10**12)", "wrong"),
    "a large array": ("return torch.zeros(5 * 10**6)", "wrong"),
    "many axes": ("return torch.zeros([1] * 40)", "wrong"),
    "a generator without end": ("import itertools; return itertools.count()", "wrong"),
    "lies about its shape": (
        "return type('A', (), {'__array__': lambda *a: __import__('numpy').zeros((10**4, 10**9)), 'shape': (3,)})()",
        "wrong",
    ),
    "text": ("return 'right (2 points)'", "wrong"),
    "memory": ("return [bytearray(2**30) for _ in range(99)]", "error"),
    "HTML": ("raise ValueError('<script>alert(1)</script>\\x00\\ud800')", "error"),
    "strides that lie": (
        "import numpy as np; return np.lib.stride_tricks.as_strided(np.zeros(1), (10**6, 10**6), (0, 0))",
        "wrong",
    ),
    "a sparse giant": ("return torch.sparse_coo_tensor(size=(10**6, 10**6))", "wrong"),
    "an array of objects": ("import numpy as np; return np.array([object()] * len(x))", "wrong"),
    "an array that changes": (
        "import numpy as np; A = type('A', (np.ndarray,), {'__array__': lambda s, *a, **k: 1 / 0}); "
        "return np.zeros(len(x)).view(A)",
        "wrong",
    ),
    "a number that refuses": (
        "A = type('A', (float,), {'__float__': lambda s: 1 / 0}); return [A()] * len(x)",
        "wrong",
    ),
    "a list without end": (
        "import itertools; A = type('A', (list,), {'__iter__': lambda s: itertools.repeat(0.0)}); return A([1, 2])",
        "timeout",
    ),
    "a tensor of nothing": ("return torch.empty(3, device='meta')", "wrong"),
    "numbers beyond numbers": ("return [10**400] * len(x)", "wrong"),
    "complex numbers": ("return x.sum(-1) * 1j", "wrong"),
    "infinity": ("return x.sum(-1) / 0", "wrong"),
    "its input changed": ("x.zero_(); return x.sum(-1)", "wrong"),
}
"""The body of an answer, and the status that it gets."""
