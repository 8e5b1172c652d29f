"""Runs a command on a real terminal and talks with the shell in it: terminal.py COMMAND..."""
import fcntl
import os
import pty
import select
import signal
import struct
import sys
import termios
import time


def size(fd, rows, columns):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))


pid, fd = pty.fork()
if pid == 0:
    size(0, 33, 101)
    os.execvp(sys.argv[1], sys.argv[1:])
seen = b""


def until(text, seconds=15):
    global seen
    end = time.time() + seconds
    while text not in seen:
        if time.time() > end or not select.select([fd], [], [], max(0, end - time.time()))[0]:
            sys.exit("no %r; the terminal showed %r" % (text, seen))
        try:
            data = os.read(fd, 4096)
        except OSError:
            data = b""
        if not data:
            sys.exit("ended before %r; the terminal showed %r" % (text, seen))
        seen += data
    before, seen = seen.split(text, 1)
    return before


def say(line):
    os.write(fd, line.encode())


until(b"# ")
say("tty; stty size\n")
until(b"/dev/pts/")
until(b"33 101")
size(fd, 44, 77)
os.kill(pid, signal.SIGWINCH)
until(b"# ")
for _ in range(50):  # the new size goes its own way
    say("stty size; echo is-''it\n")  # typed otherwise than it comes out; the shell may draw its line anew meanwhile
    if b"44 77" in until(b"is-it"):
        break
    until(b"# ")
say("for i in $(stty size); do echo [$i]; done\n")
until(b"[44]")
until(b"[77]")
say("sleep 100\n")
time.sleep(0.3)
say("\x03")  # Ctrl-C ends the command, not the shell
until(b"# ")
say("exit 5\n")
while True:
    try:
        if not os.read(fd, 4096):
            break
    except OSError:
        break
status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
if status != 5:
    sys.exit("the shell's exit code 5 came as %d" % status)
