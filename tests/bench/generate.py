#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the C source of a large object in the manner of a production datapath: tail-called
programs made of inlined features, each with its own maps and load-time constants.

    generate.py OUT.bpf.c --programs N --features N --maps N --constants N [--seed N]

Same arguments, same source.
"""
import argparse
import pathlib
import random
import re

HERE = pathlib.Path(__file__).parent / "big"

# Map kind -> (type, key, value, entries), and how many of every 100 maps are of it.
MAPS = {
    "ct": ("LRU_HASH", "struct ct_key", "struct ct_entry", 524288, 12),
    "nat": ("LRU_HASH", "struct nat_key", "struct nat_entry", 524288, 12),
    "svc": ("HASH", "struct svc_key", "struct svc_entry", 65536, 10),
    "be": ("HASH", "__u32", "struct backend", 65536, 8),
    "pol": ("LPM_TRIE", "struct policy_key", "struct policy_entry", 16384, 10),
    "lpm": ("LPM_TRIE", "struct lpm_key", "struct identity", 512000, 10),
    "idn": ("HASH", "__u32", "struct identity", 16384, 8),
    "cnt": ("PERCPU_HASH", "struct counter_key", "struct counter", 1024, 8),
    "bkt": ("LRU_HASH", "__u32", "struct bucket", 1024, 6),
    "edt": ("HASH", "__u32", "struct edt", 65536, 6),
    "arr": ("ARRAY", "__u32", "__u32", 65536, 5),
    "rng": ("RINGBUF", None, None, 1 << 20, 2),
    "aom": ("ARRAY_OF_MAPS", "__u32", None, 16, 3),
}

# Constants the fixed parts use: name -> (type, default).
FIXED = {
    "enable_ipv4_fragments": ("bool", "true"), "enable_ipv6_fragments": ("bool", "true"),
    "enable_sctp": ("bool", "false"), "allow_unknown_l4": ("bool", "false"),
    "enable_drop_notify": ("bool", "true"), "policy_audit_mode": ("bool", "false"),
    "enable_no_service_icmp": ("bool", "false"), "enable_host_routing": ("bool", "true"),
    "enable_identity_mark": ("bool", "true"), "enable_encrypt_mark": ("bool", "false"),
    "enable_ipv4": ("bool", "true"), "enable_ipv6": ("bool", "true"),
    "encrypt_key": ("__u8", "3"), "file_id": ("__u32", "7"), "endpoint_id": ("__u16", "0x1f2"),
    "trace_payload_len": ("__u32", "128"), "mark_mask": ("__u32", "0x0f00"),
    "direct_routing_ifindex": ("__u32", "2"), "policy_slot": ("__u32", "0"),
}
# Placeholder letter -> (type, share of the other constants, stem of the names).
CONSTANTS = {
    "b": ("bool", 45, "enable"), "x": ("__u8", 8, "mode"), "h": ("__u16", 12, "port"),
    "w": ("__u32", 18, "value"), "q": ("__u64", 7, "interval_ns"),
    "v": ("union v6addr", 6, "address"), "e": ("struct mac", 4, "mac"),
}
TOPICS = """nodeport session_affinity source_ranges bandwidth egress_gateway encryption tunnel
host_firewall l7_proxy health multicast local_redirect masquerade wireguard node_encryption
service_topology dsr icmp_reply route_mtu conntrack_accounting extended_ip auth cluster_mesh
identity_cache nat46 per_packet_lb bpf_tproxy socket_lb endpoint_routes arp_passthrough""".split()


def weighted(table, column, total):
    """Splits `total` over the rows of `table`, at least one each."""
    weight = sum(row[column] for row in table.values())
    shares = {name: max(1, total * row[column] // weight) for name, row in table.items()}
    largest = max(shares, key=shares.get)
    shares[largest] += max(0, total - sum(shares.values()))
    return shares


class Generator:
    def __init__(self, options):
        self.options = options
        self.random = random.Random(options.seed)
        self.blocks = self.read_blocks()
        self.maps = {kind: [f"{kind}_{i}" for i in range(count)]
                     for kind, count in weighted(MAPS, 4, max(0, options.maps - 4)).items()}
        self.constants = {}
        names = set()
        for letter, count in weighted(CONSTANTS, 1, options.constants - len(FIXED)).items():
            self.constants[letter] = self.names(letter, count, names)

    @staticmethod
    def read_blocks():
        blocks = {}
        for path in (HERE / "tables.bpf.c.in", HERE / "packets.bpf.c.in"):
            for part in path.read_text().split("//@ ")[1:]:
                name, body = part.split("\n", 1)
                blocks[name.strip()] = body
        return blocks

    def names(self, letter, count, taken):
        stem, result = CONSTANTS[letter][2], []
        for i in range(count):
            topic = TOPICS[(i * 7 + ord(letter)) % len(TOPICS)]
            name = f"{stem}_{topic}" if letter == "b" else f"{topic}_{stem}"
            while name in taken:
                name += f"_{len(taken)}"
            taken.add(name)
            result.append(name)
        return result

    def value(self, letter):
        pick = self.random
        return {"b": lambda: pick.choice(["true", "true", "false"]),
                "x": lambda: str(pick.choice([0, 1, 2, 2, 5, 64])),
                "h": lambda: hex(pick.randrange(0x400, 0xffff)),
                "w": lambda: hex(pick.choice([0, 0xff, 0x0a000001, 0xffff0000, 21600, 60])),
                "q": lambda: hex(pick.choice([0, 1000000, 2 ** 40 + 7, 100])),
                "v": lambda: "{.d1 = 0x%x, .d2 = 0x%x}" % (pick.getrandbits(64), pick.getrandbits(64)),
                "e": lambda: "{{2, 0, %d, 4, 5, %d}}" % (pick.randrange(256), pick.randrange(256)),
                }[letter]()

    def constant(self, c_type, name, value):
        return f"volatile const {c_type} __config_{name} CONST_SECTION = {value};"

    def map(self, kind, name):
        kind_of, key, value, entries, _ = MAPS[kind]
        lines = [f"__uint(type, BPF_MAP_TYPE_{kind_of});", f"__uint(max_entries, {entries});"]
        if key:
            lines.append(f"__type(key, {key});")
        if value:
            lines.append(f"__type(value, {value});")
        if kind_of == "LPM_TRIE":
            lines.append("__uint(map_flags, BPF_F_NO_PREALLOC);")
        if kind_of == "ARRAY_OF_MAPS":
            lines.append("__array(values, struct { __uint(type, BPF_MAP_TYPE_ARRAY); "
                         "__uint(max_entries, 4); __type(key, __u32); __type(value, struct counter); });")
        return "struct {\n\t" + "\n\t".join(lines) + f"\n}} {name} SEC(\".maps\");"

    def head(self):
        lines = ['#include "types.bpf.h"', "", f"#define SLOT_ICMP {self.options.programs - 1}", ""]
        lines += [self.constant(t, name, value) for name, (t, value) in FIXED.items()]
        for letter, names in self.constants.items():
            lines += [self.constant(CONSTANTS[letter][0], n, self.value(letter)) for n in names]
        for name, entries in (("calls", self.options.programs), ("policy_calls", 65536)):
            lines.append("struct {\n\t__uint(type, BPF_MAP_TYPE_PROG_ARRAY);\n\t__uint(max_entries, "
                         f"{entries});\n\t__type(key, __u32);\n\t__type(value, __u32);\n}} {name} SEC(\".maps\");")
        lines.append("struct {\n\t__uint(type, BPF_MAP_TYPE_PERF_EVENT_ARRAY);\n\t__type(key, __u32);\n"
                     "\t__type(value, __u32);\n} events SEC(\".maps\");")
        lines.append(self.map("cnt", "metrics"))
        for kind, names in self.maps.items():
            lines += [self.map(kind, name) for name in names]
        return lines

    def fill(self, body, suffix, program):
        """One feature: which maps and constants its placeholders stand for."""
        chosen = {}

        def replace(match):
            letters, digits = match.groups()
            key = letters + digits
            while key not in chosen:  # two constants of one feature are two
                value = self.choose(letters, digits, suffix, program)
                if letters not in CONSTANTS or value not in chosen.values():
                    chosen[key] = value
            return chosen[key]

        return re.sub(r"\$([a-z]+)(\d*)", replace, body)

    def choose(self, letters, digits, suffix, program):
        if letters == "n":
            return suffix
        if letters == "r":  # a random number of 2^8.. or a small one
            limit = {"8": 12, "16": 1 << 16, "32": 1 << 31}.get(digits, 1000)
            return str(self.random.randrange(4, limit))
        if letters == "t":
            return str(self.random.randrange(program + 1, self.options.programs)
                       if program + 1 < self.options.programs else program)
        if letters in self.maps:
            return self.random.choice(self.maps[letters])
        return self.random.choice(self.constants[letters])

    def program(self, index):
        """C of one program: its features, then the program that strings them together."""
        wide = index % 2
        count = max(3, int(self.options.features * self.random.uniform(0.5, 1.5)))
        kinds = [self.random.choice(sorted(self.blocks)) for _ in range(count)]
        text, steps = [], []
        for step, kind in enumerate(kinds):
            suffix = f"{index}_{step}"
            text.append(self.fill(self.blocks[kind], suffix, index))
            steps.append(f"\tret = {kind}_{suffix}(ctx, &p);\n\tif (ret < 0)\n\t\tgoto drop;")
        entry = index < self.options.entries
        family = "6" if wide else "4"
        section = "tc/entry" if entry else "tc/tail"
        tag = "" if entry else f"TAIL({index})\n"
        name = f"from_hook_{index}" if entry else f"tail_{family}_{index}"
        nexts = self.tail_calls(index)
        text.append(f"""{tag}SEC("{section}")
int {name}(struct __sk_buff *ctx)
{{
	struct pkt p = {{.flags = {"F_IN" if index % 3 else "0"}}};
	int ret = parse{family}(ctx, &p);

	if (ret < 0)
		goto drop;
	ret = parse_l4(ctx, &p);
	if (ret < 0)
		goto drop;
{chr(10).join(steps)}
{nexts}
	return TC_ACT_OK;
drop:
	return drop_with(ctx, &p, ret, {index + 1});
}}
""")
        return text

    def tail_calls(self, index):
        later = range(index + 1, self.options.programs)
        if index < self.options.entries:
            targets = list(range(self.options.entries + index, self.options.programs,
                                 self.options.entries))[:8]
        else:
            targets = self.random.sample(later, min(2, len(later)))
        lines = []
        for target in targets:
            guard = self.random.choice(self.constants["b"])
            lines.append(f"\tif (CONFIG({guard}) && p.src_id != {target}) {{\n"
                         f"\t\tbpf_tail_call(ctx, &calls, {target});\n"
                         "\t\tret = DROP_TAIL;\n\t\tgoto drop;\n\t}")
        if index % 5 == 0:
            lines.append("\tbpf_tail_call(ctx, &policy_calls, CONFIG(policy_slot) ?: p.dst_id & 0xffff);")
        return "\n".join(lines)

    def source(self):
        lines = ["/* Generated. SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */"]
        lines += self.head()
        lines.append((HERE / "core.bpf.c.in").read_text())
        for index in range(self.options.programs):
            lines += self.program(index)
        lines.append('char _license[] SEC("license") = "Dual BSD/GPL";')
        return "\n".join(lines) + "\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--programs", type=int, default=30)
    parser.add_argument("--entries", type=int, default=4)
    parser.add_argument("--features", type=int, default=12, help="of a program, on average")
    parser.add_argument("--maps", type=int, default=75)
    parser.add_argument("--constants", type=int, default=80)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    options.out.write_text(Generator(options).source())


if __name__ == "__main__":
    main()
