#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Makes a larger object of the same code, to see how time grows with size.

    stretch.py IN.bpf.o OUT.bpf.o --slots N [--one-function]

The programs of section tc/tail are repeated, with their relocations, symbols, BTF functions and
lines, until the object has N instruction slots; each copy is an entry program. --one-function
strings all of them together into a single function instead, each `exit` leading on to the next.
The result is for reading and analysing, not for loading.
"""
import argparse
import bisect
import pathlib
import struct

SECTION = "tc/tail"
EXIT, JUMP, LOAD_IMM64 = 0x95, 0x05, 0x18
SHT_PROGBITS, SHT_SYMTAB, SHT_STRTAB, SHT_REL = 1, 2, 3, 9
KIND_FUNC = 12


class Elf:
    """Sections of a little-endian ELF64 file, with names; content is a bytearray."""

    def __init__(self, data):
        self.header = bytearray(data[:64])
        at, = struct.unpack_from("<Q", data, 0x28)
        count, names = struct.unpack_from("<HH", data, 0x3c)
        self.sections = []
        for i in range(count):
            fields = list(struct.unpack_from("<IIQQQQIIQQ", data, at + i * 64))
            offset, size = fields[4:6]
            self.sections.append([fields, bytearray(data[offset:offset + size])])
        table = self.sections[names][1]
        self.names = [text(table, fields[0]) for fields, _ in self.sections]

    def find(self, name):
        return self.names.index(name)

    def content(self, name):
        return self.sections[self.find(name)][1]

    def drop(self, unwanted):
        """Empties debug sections; indices stay as they are."""
        for i, name in enumerate(self.names):
            if unwanted(name):
                self.sections[i][1].clear()

    def write(self):
        out = self.header
        for fields, content in self.sections:
            out += bytes(-len(out) % 8)
            fields[4:6] = [len(out), len(content)]
            out += content
        out += bytes(-len(out) % 8)
        struct.pack_into("<Q", out, 0x28, len(out))
        for fields, _ in self.sections:
            out += struct.pack("<IIQQQQIIQQ", *fields)
        return out


def text(table, offset):
    return table[offset:table.index(0, offset)].decode()


class Btf:
    """Appends functions to a .BTF section."""

    def __init__(self, content):
        self.content = content
        self.header_size, = struct.unpack_from("<I", content, 4)
        offset, size, str_offset, str_size = struct.unpack_from("<IIII", content, 8)
        begin = self.header_size
        self.types = content[begin + offset:begin + offset + size]
        self.strings = content[begin + str_offset:begin + str_offset + str_size]
        self.functions, self.count = {}, 0
        at = 0
        while at < len(self.types):
            self.count += 1
            name, info, proto = struct.unpack_from("<III", self.types, at)
            kind, vlen = info >> 24 & 0x1f, info & 0xffff
            if kind == KIND_FUNC:
                self.functions[self.count] = (text(self.strings, name), info, proto)
            at += 12 + {1: 4, 3: 12, 4: 12 * vlen, 5: 12 * vlen, 6: 8 * vlen, 13: 8 * vlen,
                        14: 4, 15: 12 * vlen, 17: 4, 19: 12 * vlen}.get(kind, 0)

    def add(self, name, like):
        _, info, proto = self.functions[like]
        self.types += struct.pack("<III", len(self.strings), info, proto)
        self.strings += name.encode() + b"\0"
        self.count += 1
        return self.count

    def write(self):
        struct.pack_into("<IIII", self.content, 8, 0, len(self.types), len(self.types),
                         len(self.strings))
        self.content[self.header_size:] = self.types + self.strings


class BtfExt:
    """Function and line records of .BTF.ext by section name offset; CO-RE records are dropped."""

    def __init__(self, content):
        self.content = content
        size, = struct.unpack_from("<I", content, 4)
        self.parts = []
        for at in (8, 16):
            offset, length = struct.unpack_from("<II", content, at)
            self.parts.append(self.read(content[size + offset:size + offset + length]))

    @staticmethod
    def read(part):
        record, = struct.unpack_from("<I", part)
        sections, at = {}, 4
        while at < len(part):
            name, count = struct.unpack_from("<II", part, at)
            at += 8
            sections[name] = [bytes(part[at + i * record:at + (i + 1) * record]) for i in range(count)]
            at += count * record
        return record, sections

    def write(self):
        head, body = bytearray(self.content[:24]), bytearray()
        for at, (record, sections) in zip((8, 16), self.parts):
            begin = len(body)
            body += struct.pack("<I", record)
            for name, records in sections.items():
                body += struct.pack("<II", name, len(records)) + b"".join(records)
            struct.pack_into("<II", head, at, begin, len(body) - begin)
        struct.pack_into("<I", head, 4, 24)
        self.content[:] = head + body


# The context is kept at the far end of the stack, for each function to begin with it in r1.
KEEP_CONTEXT = struct.pack("<BBhi", 0x7b, 0x1a, -512, 0)
FETCH_CONTEXT = struct.pack("<BBhi", 0x79, 0xa1, -512, 0)


def led_on(code):
    """The function with a fetch of the context behind it, to which each exit goes."""
    code, at = bytearray(code), 0
    while at < len(code):
        if code[at] == EXIT:
            # A function of more than 2^15 slots would need a longer jump; none is.
            struct.pack_into("<BBhi", code, at, JUMP, 0, (len(code) - at) // 8 - 1, 0)
        at += 16 if code[at] == LOAD_IMM64 else 8
    return code + FETCH_CONTEXT


def shifted(record, by):
    offset, = struct.unpack_from("<I", record)
    return struct.pack("<I", offset + by) + record[4:]


class Stretched:
    def __init__(self, elf):
        self.elf, self.index = elf, elf.find(SECTION)
        elf.drop(lambda name: ".debug" in name or name in (".rel.BTF", ".rel.BTF.ext"))
        self.btf, self.ext = Btf(elf.content(".BTF")), BtfExt(elf.content(".BTF.ext"))
        self.code = elf.content(SECTION)
        self.relocs = elf.content(".rel" + SECTION)
        self.symbols = elf.content(".symtab")
        self.strings = elf.content(".strtab")
        self.functions = [(at, fields) for at in range(0, len(self.symbols), 24)
                          for fields in [struct.unpack_from("<IBBHQQ", self.symbols, at)]
                          if fields[3] == self.index and fields[1] & 0xf == 2]

    def slots(self):
        return sum(len(content) for fields, content in self.elf.sections if fields[2] & 4) // 8

    def repeat(self, slots, one_function):
        name = next(n for n in self.ext.parts[1][1] if text(self.btf.strings, n) == SECTION)
        if one_function:
            self.string_together(name)
        unit, relocs = bytes(self.code), bytes(self.relocs)
        funcs, lines = (list(part[1][name]) for part in self.ext.parts)
        copies = max(0, round((slots - self.slots()) / (len(unit) / 8)))
        for copy in range(1, copies + 1):
            by = copy * len(unit)
            self.code += unit
            for at in range(0, len(relocs), 16):
                offset, = struct.unpack_from("<Q", relocs, at)
                self.relocs += struct.pack("<Q", offset + by) + relocs[at + 8:at + 16]
            self.ext.parts[1][1][name] += [shifted(line, by) for line in lines]
            if not one_function:
                self.add_functions(copy, by, name, funcs)
        if one_function:
            self.merge(name)

    def add_functions(self, copy, by, name, records):
        for _, (symbol, info, other, section, value, size) in self.functions:
            label = f"{text(self.strings, symbol)}_{copy}"
            self.symbols += struct.pack("<IBBHQQ", len(self.strings), info, other, section,
                                        value + by, size)
            self.strings += label.encode() + b"\0"
            like = next(r for r in records if struct.unpack_from("<I", r)[0] == value)
            kind = self.btf.add(label, struct.unpack_from("<I", like, 4)[0])
            self.ext.parts[0][1][name].append(struct.pack("<II", value + by, kind) + like[8:])

    def string_together(self, name):
        """Makes the functions of the section follow upon each other."""
        starts = sorted(value for _, (_, _, _, _, value, _) in self.functions)
        code = bytearray(KEEP_CONTEXT)
        for begin, end in zip(starts, starts[1:] + [len(self.code)]):
            code += led_on(self.code[begin:end])
        self.code[:] = code

        def moved(offset):
            return 8 * bisect.bisect_right(starts, offset)

        for at in range(0, len(self.relocs), 16):
            offset, = struct.unpack_from("<Q", self.relocs, at)
            struct.pack_into("<Q", self.relocs, at, offset + moved(offset))
        lines = self.ext.parts[1][1]
        lines[name] = [shifted(r, moved(struct.unpack_from("<I", r)[0])) for r in lines[name]]

    def merge(self, name):
        """All functions of the section become the first one."""
        self.code += struct.pack("<BBhiQ", 0xb7, 0, 0, 0, EXIT)
        first, *others = sorted(self.functions, key=lambda f: f[1][4])
        struct.pack_into("<I", self.symbols, first[0], len(self.strings))
        struct.pack_into("<QQ", self.symbols, first[0] + 8, 0, len(self.code))
        self.strings += b"all\0"
        for at, _ in others:
            struct.pack_into("<BBH", self.symbols, at + 4, 0, 0, 0xfff1)  # no function any more
        records = self.ext.parts[0][1][name]
        like, = struct.unpack_from("<I", records[0], 4)
        records[:] = [struct.pack("<II", 0, self.btf.add("all", like)) + records[0][8:]]

    def write(self):
        self.btf.write()
        self.ext.write()
        return self.elf.write()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("object", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--slots", type=int, required=True)
    parser.add_argument("--one-function", action="store_true")
    options = parser.parse_args()
    stretched = Stretched(Elf(options.object.read_bytes()))
    stretched.repeat(options.slots, options.one_function)
    options.out.write_bytes(stretched.write())


if __name__ == "__main__":
    main()
