/* Holds so many MiB of memory, random or compressible, and says when it is ready; then it counts. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

int main(int argc, char **argv) {
    size_t words = (size_t)atol(argv[1]) * (1 << 20) / 8;
    int compressible = argc > 2;
    uint64_t *memory = malloc(words * 8), state = 88172645463325252ull;
    for (size_t i = 0; i < words; i++) {
        state ^= state << 13; state ^= state >> 7; state ^= state << 17;
        memory[i] = compressible ? (i / 64 % 251) : state;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    printf("ready\n");
    for (unsigned n = 0;; n++) { memory[n % words]++; usleep(10000); }
}
