/* SPDX-License-Identifier: Apache-2.0
 *
 * Stands in for libFuzzer where it is not linked: gives every file named on the
 * command line, or found directly in a folder named there, to the target once.
 * An input that crashes the target ends the program; its name is the last line.
 */
#include <dirent.h>
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Exactly as long as the input, so that AddressSanitizer sees a read past it. */
static void run_bytes(const char *bytes, size_t len)
{
    uint8_t *exact = malloc(len ? len : 1);
    if (!exact) abort();
    if (len) memcpy(exact, bytes, len);
    LLVMFuzzerTestOneInput(exact, len);
    free(exact);
}

static int run_file(const char *path)
{
    struct stat st;
    FILE       *f = fopen(path, "rb");
    if (!f || fstat(fileno(f), &st) != 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        if (f) fclose(f);
        return 0;
    }
    size_t size = (size_t)st.st_size;
    char  *bytes = malloc(size ? size : 1);
    if (!bytes) abort();
    size_t got = fread(bytes, 1, size, f);
    fclose(f);
    fprintf(stderr, "%s\n", path);
    run_bytes(bytes, got);
    free(bytes);
    return 1;
}

/* Returns how many inputs ran, or -1 when one could not be read. */
static int run_folder(const char *path)
{
    struct dirent **entries;
    int             count = scandir(path, &entries, NULL, alphasort), ran = 0;
    if (count < 0) {
        fprintf(stderr, "%s: %s\n", path, strerror(errno));
        return -1;
    }
    for (int i = 0; i < count; i++) {
        char        file[4096];
        struct stat st;
        snprintf(file, sizeof(file), "%s/%s", path, entries[i]->d_name);
        free(entries[i]);
        if (ran < 0 || stat(file, &st) != 0 || !S_ISREG(st.st_mode)) continue;
        ran = run_file(file) ? ran + 1 : -1;
    }
    free(entries);
    return ran;
}

int main(int argc, char **argv)
{
    int ran = 0;
    for (int i = 1; i < argc; i++) {
        struct stat st;
        int         is_folder = stat(argv[i], &st) == 0 && S_ISDIR(st.st_mode);
        int         n = is_folder ? run_folder(argv[i]) : run_file(argv[i]) ? 1 : -1;
        if (n < 0) return 1;
        ran += n;
    }
    printf("%d inputs replayed\n", ran);
    return ran > 0 ? 0 : 1;
}
