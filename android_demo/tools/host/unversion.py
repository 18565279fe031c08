"""Make an Android library loadable by glibc: symbol versions name bionic's libraries, so their tags are overwritten."""

import struct
import sys
from pathlib import Path

PT_DYNAMIC, IGNORED = 2, 0x60000FFF
VERSIONS = {0x6FFFFFF0, 0x6FFFFFFC, 0x6FFFFFFD, 0x6FFFFFFE, 0x6FFFFFFF}  # VERSYM, VERDEF(NUM), VERNEED(NUM)

source, target = sys.argv[1:]
data = bytearray(Path(source).read_bytes())
if data[:5] != b"\x7fELF\x02":
    sys.exit(f"{source} must be a 64-bit ELF library")
(table,) = struct.unpack_from("<Q", data, 32)
size, count = struct.unpack_from("<HH", data, 54)
for header in range(table, table + size * count, size):
    kind, _, offset, _, _, length = struct.unpack_from("<IIQQQQ", data, header)
    if kind == PT_DYNAMIC:
        for entry in range(offset, offset + length, 16):
            if struct.unpack_from("<Q", data, entry)[0] in VERSIONS:
                struct.pack_into("<Q", data, entry, IGNORED)
Path(target).write_bytes(data)
