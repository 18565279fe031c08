/* What Android's x86_64 library asks of bionic and glibc lacks. For tests on Linux x86_64 only. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

int *__errno(void) { return &errno; }

size_t __strlen_chk(const char *text, size_t size) { (void)size; return strlen(text); }

int __system_property_get(const char *name, char *value) { (void)name; value[0] = 0; return 0; }

void android_set_abort_message(const char *message) { fprintf(stderr, "abort: %s\n", message); }

int __android_log_vprint(int priority, const char *tag, const char *format, va_list arguments) {
  fprintf(stderr, "%d %s: ", priority, tag);
  return vfprintf(stderr, format, arguments) + fprintf(stderr, "\n");
}

/* bionic's array of three FILEs of 152 bytes; the library writes to the third. glibc's has 216, and a table. */
char __sF[560];

__attribute__((constructor)) static void copy_stderr(void) { memcpy(__sF + 304, stderr, 224); }
