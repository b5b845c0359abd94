/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the generated objects are written with: types, packet parsing, drops. */
#pragma once

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/pkt_cls.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#undef __always_inline
#define __always_inline inline __attribute__((always_inline))
#undef __noinline
#define __noinline __attribute__((noinline))
#define CONST_SECTION __attribute__((section(".rodata.config"), used))
#define CONFIG(name) __config_##name
#define STR_(x) #x
#define STR(x) STR_(x)
#define TAIL(slot) __attribute__((btf_decl_tag("tail:calls/" STR(slot))))

union v6addr {
	struct { __u32 p1, p2, p3, p4; };
	struct { __u64 d1, d2; };
	__u8 addr[16];
};

struct mac { __u8 addr[6]; };

enum {
	DROP_INVALID = -130, DROP_SHORT = -131, DROP_PROTO = -132, DROP_CT = -133, DROP_NAT = -134,
	DROP_POLICY = -135, DROP_NO_SERVICE = -136, DROP_NO_BACKEND = -137, DROP_SOURCE = -138,
	DROP_FRAG = -139, DROP_TAIL = -140, DROP_WRITE = -141, DROP_CSUM = -142, DROP_RATE = -143,
	DROP_TUNNEL = -144, DROP_AUTH = -145, DROP_FIB = -146, DROP_MTU = -147,
};

enum { F_IN = 1, F_RELATED = 2, F_SERVICE = 4, F_REPLY = 8, F_FRAG = 16, F_SKIP = 32 };

struct pkt {
	union v6addr saddr, daddr;
	__u16 sport, dport;
	__u8 proto, flags, tcp_flags, ttl;
	__u16 l4_off, rev_nat;
	__u32 mark, len, src_id, dst_id, hash;
};

struct ct_key {
	union v6addr saddr, daddr;
	__u16 sport, dport;
	__u8 proto, flags;
	__u16 zone;
};

struct ct_entry {
	__u64 rx_packets, rx_bytes, tx_packets, tx_bytes;
	__u32 lifetime, src_id, backend;
	__u16 rev_nat, bits;
	__u8 tx_flags, rx_flags, seen, state;
	__u32 last_report;
};

struct nat_key { union v6addr addr; __u16 port; __u8 proto, dir; __u32 pad; };
struct nat_entry { union v6addr to; __u16 to_port, bits; __u32 created; };
struct svc_key { union v6addr addr; __u16 port, slot; __u8 proto, scope; __u16 pad; };
struct svc_entry { __u32 backend, affinity; __u16 count, rev_nat; __u8 flags, flags2; __u16 qcount; };
struct backend { union v6addr addr; __u16 port; __u8 proto, flags; __u32 zone; };
struct policy_key { __u32 prefix; __u32 id; __u8 egress, proto; __u16 port; };
struct policy_entry { __u16 proxy_port; __u8 deny, auth; __u32 cookie; __u64 packets, bytes; };
struct lpm_key { __u32 prefix; __u16 cluster; __u8 pad, family; union v6addr addr; };
struct identity { __u32 id, tunnel; __u16 flags, cluster; __u32 key; };
struct counter_key { __u8 reason, dir; __u16 line; __u32 file; };
struct counter { __u64 packets, bytes; };
struct bucket { __u64 last, tokens; };
struct edt { __u64 bps, t_last; __u32 prio, horizon; };

struct note {
	__u8 type, sub;
	__u16 source;
	__u32 hash, len_orig;
	__u16 len_cap, version;
	__u32 src_id, dst_id;
	__u16 line;
	__u8 file, ext;
	__u32 ifindex;
	union v6addr addr;
};

/* Bounds-checked pointer to `len` bytes at `off` of the packet; NULL when there are fewer. */
static __always_inline void *packet_at(struct __sk_buff *ctx, __u32 off, __u32 len)
{
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;

	if (data + off + len > end) {
		if (bpf_skb_pull_data(ctx, off + len) < 0)
			return NULL;
		data = (void *)(long)ctx->data;
		end = (void *)(long)ctx->data_end;
		if (data + off + len > end)
			return NULL;
	}
	return data + off;
}

static __always_inline __u32 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return (__u16)~sum;
}

static __always_inline __u32 mix(__u32 a, __u32 b, __u32 c)
{
	a -= c; a ^= (c << 4) | (c >> 28); c += b;
	b -= a; b ^= (a << 6) | (a >> 26); a += c;
	c -= b; c ^= (b << 8) | (b >> 24); b += a;
	a -= c; a ^= (c << 16) | (c >> 16); c += b;
	b -= a; b ^= (a << 19) | (a >> 13); a += c;
	c -= b; c ^= (b << 4) | (b >> 28);
	return c + a;
}

static __always_inline bool same_addr(const union v6addr *a, const union v6addr *b)
{
	return a->d1 == b->d1 && a->d2 == b->d2;
}
