"""Small C programs for containers: what busybox cannot do."""

from __future__ import annotations

import subprocess
from pathlib import Path

THREADS = r"""
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>
static volatile int shared;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static void *work(void *unused) {
    for (;;) { pthread_mutex_lock(&lock); shared++; pthread_mutex_unlock(&lock); usleep(20000); }
    return unused;
}
int main(void) {
    pthread_t a, b, c;
    setvbuf(stdout, NULL, _IOLBF, 0);
    pthread_create(&a, NULL, work, NULL); pthread_create(&b, NULL, work, NULL); pthread_create(&c, NULL, work, NULL);
    for (;;) { printf("%d\n", shared); usleep(100000); }
}
"""
"""Three threads count, the first prints the sum."""

LOCKER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <unistd.h>
int main(int argc, char **argv) {
    int fd = open("/tmp/lock", O_RDWR | O_CREAT, 0600);
    setvbuf(stdout, NULL, _IOLBF, 0);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) { printf("taken\n"); return 1; }
    for (int i = 1;; i++) { printf("%d\n", i); if (argc > 1) return 0; usleep(100000); }
}
"""
"""Holds a lock on /tmp/lock and counts; with an argument it only tries."""

STEPPER = r"""
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>
static void put(int fd, int number) {
    char text[16];
    int length = snprintf(text, sizeof text, "%09d\n", number);
    if (pwrite(fd, text, length, 0) != length) _exit(1);
}
int main(void) {
    int root = open("/var/counter", O_RDWR | O_CREAT, 0600);
    int volume = open("/data/counter", O_RDWR | O_CREAT, 0600);
    int shm = open("/dev/shm/counter", O_RDWR | O_CREAT, 0600);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1;; i++) { put(root, i); put(volume, i); put(shm, i); printf("%d\n", i); usleep(500); }
}
"""
"""Writes its count, two thousand times a second, to root, volume, /dev/shm and log, in this order."""

MEMORY = r"""
#include <stdio.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>
int main(int argc, char **argv) {
    size_t size = (size_t)atoi(argv[1]) << 20;
    char *memory = malloc(size);
    setvbuf(stdout, NULL, _IOLBF, 0);
    for (size_t done = 0; done < size; done += 1 << 20) getrandom(memory + done, 1 << 20, 0);
    for (int i = 1;; i++) { memory[i % size]++; printf("%d\n", i); usleep(100000); }
}
"""
"""Counts, and keeps so many MiB of random memory."""

HOLDER = r"""
#include <fcntl.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
static void fail(const char *what) { perror(what); exit(1); }
static void hold(const char *what) {
    if (!strcmp(what, "io_uring")) {
        char params[256] = {0};
        if (syscall(425, 8, params) < 0) fail("io_uring_setup");
    } else if (!strcmp(what, "ghost")) {
        int fd = open("/tmp/ghost", O_RDWR | O_CREAT, 0600);
        char block[4096];
        memset(block, 7, sizeof block);
        for (int i = 0; i < 1024; i++) if (write(fd, block, sizeof block) < 0) fail("write");
        unlink("/tmp/ghost");
    } else if (!strcmp(what, "unlinked")) {
        open("/var/first", O_RDWR | O_CREAT, 0600);
        link("/var/first", "/var/second");
        unlink("/var/first");
    } else if (!strcmp(what, "tcp")) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t size = sizeof address;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        int server = socket(AF_INET, SOCK_STREAM, 0), client = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(server, (void *)&address, size) || listen(server, 1)) fail("listen");
        getsockname(server, (void *)&address, &size);
        if (connect(client, (void *)&address, size)) fail("connect");
        if (accept(server, 0, 0) < 0) fail("accept");
    } else if (!strcmp(what, "unix")) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        int client = socket(AF_UNIX, SOCK_STREAM, 0);
        strcpy(address.sun_path, "/outside/socket");
        if (connect(client, (void *)&address, sizeof address)) fail("connect");
    } else if (!strcmp(what, "traced")) {
        pid_t child = fork();
        if (!child) for (;;) pause();
        if (ptrace(PTRACE_ATTACH, child, 0, 0)) fail("ptrace");
        waitpid(child, 0, 0);
    } else if (!strcmp(what, "userfaultfd")) {
        if (syscall(323, 1) < 0) fail("userfaultfd");
    } else if (!strcmp(what, "perf")) {
        long attributes[16] = {0};
        attributes[0] = 1 | 128L << 32;
        if (syscall(298, attributes, 0, -1, -1, 0) < 0) fail("perf_event_open");
    } else if (!strcmp(what, "open")) {
        if (open("/var/kept", O_RDWR | O_CREAT | O_APPEND, 0600) < 0) fail("open");
        if (open("/var/sized", O_RDONLY) < 0) fail("sized");
    } else if (!strcmp(what, "device")) {
        if (open("/dev/device", O_RDWR) < 0) fail("open");
    } else if (!strcmp(what, "packet")) {
        if (socket(AF_PACKET, SOCK_DGRAM, htons(ETH_P_ALL)) < 0) fail("packet");
    } else if (!strcmp(what, "vsock")) {
        if (socket(40, SOCK_STREAM, 0) < 0) fail("vsock");
    } else if (!strcmp(what, "nothing")) {
    } else fail("what?");
}
int main(int argc, char **argv) {
    setvbuf(stdout, NULL, _IOLBF, 0);
    hold(argv[1]);
    for (int i = 1;; i++) { printf("%d\n", i); usleep(100000); }
}
"""
"""Counts, and holds what CRIU finds hard."""

SOURCES = {"threads": THREADS, "locker": LOCKER, "stepper": STEPPER, "memory": MEMORY, "holder": HOLDER}


def compile_all(directory: Path) -> Path:
    """Compile every program into *directory*, statically, and return it."""
    directory.mkdir()
    for name, source in SOURCES.items():
        subprocess.run(
            ["gcc", "-O1", "-static", "-pthread", "-x", "c", "-", "-o", directory / name],
            input=source.encode(),
            check=True,
        )
    return directory
