/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Ordinary uses of constants. With the constants as they stand no map is reached; with `on` 1,
 * `mode` 3, `flags` 0x16, `wide` 1 << 40, `small` -7, `port` 80 and `limit` 5 each of them is.
 */
#include "uses.bpf.h"

CONFIG(bool, on, false);
CONFIG(__u32, mode, 0);
CONFIG(__u32, flags, 0);
CONFIG(__u64, wide, 0);
CONFIG(__s8, small, 0);
CONFIG(__u16, port, 0);
CONFIG(__u32, limit, 0);
struct settings {
	__u32 a;
	__u16 b;
	bool c, d;
};
static const volatile struct settings set __attribute__((section(".rodata.config"))) = {};
static const volatile __u32 table[4] __attribute__((section(".rodata.config"))) = {};

/* Keeps the compiler from knowing the value; the machine code stays plain. */
#define hide(x) asm volatile("" : "+r"(x))

CASE(plain)
{
	if (on)
		USE(plain);
	return 0;
}

CASE(negated)
{
	if (!on)
		return 1;
	USE(negated);
	return 0;
}

CASE(equal)
{
	if (mode == 3)
		USE(equal);
	return 0;
}

CASE(less)
{
	if (limit > 4 && limit < 6)
		USE(less);
	return 0;
}

CASE(negative)
{
	if (small < -5)
		USE(negative);
	return 0;
}

CASE(mask)
{
	if (flags & 0x10)
		USE(mask);
	return 0;
}

CASE(shift)
{
	if ((flags >> 2) & 1)
		USE(shift);
	return 0;
}

CASE(big)
{
	if (wide == (1ull << 40))
		USE(big);
	return 0;
}

CASE(swapped)
{
	if (bpf_htons(port) == bpf_htons(80))
		USE(swapped);
	return 0;
}

CASE(either)
{
	if (on || mode == 3)
		USE(either);
	return 0;
}

CASE(with_packet)
{
	if (on && skb->len > 100)
		USE(with_packet);
	return 0;
}

CASE(packet_first)
{
	if (skb->len > 100 && skb->mark != 7 && on)
		USE(packet_first);
	return 0;
}

/* And-ed with run-time bits: zero stays zero. */
CASE(packet_and)
{
	if (flags & skb->mark)
		USE(packet_and);
	return 0;
}

/* Or-ed with run-time bits that are masked out again. */
CASE(packet_or)
{
	__u32 x = flags | (skb->mark & 1);

	hide(x);
	if (x & 0x10)
		USE(packet_or);
	return 0;
}

CASE(packet_xor)
{
	__u32 x = flags ^ (skb->mark & 0x0f);

	hide(x);
	if (x > 0x0f)
		USE(packet_xor);
	return 0;
}

/* Read once, kept in a callee-saved register over calls and a join. */
CASE(kept)
{
	bool copy = on;
	__u32 sum = 0;

	hide(copy);
	if (skb->len > 10)
		sum = bpf_get_prandom_u32();
	else
		sum = bpf_ktime_get_ns();
	if (copy)
		USE(kept);
	return sum;
}

/* More copies than registers: some are spilled. */
CASE(spilled)
{
	__u64 a = on, b = skb->len, c = skb->mark, d = skb->hash, e = skb->tc_index, f = mode;

	hide(a); hide(b); hide(c); hide(d); hide(e); hide(f);
	b += bpf_get_prandom_u32();
	c += bpf_get_prandom_u32();
	hide(b); hide(c); hide(d); hide(e);
	if (a && f == 3)
		USE(spilled);
	return b + c + d + e;
}

CASE(switched)
{
	switch (mode) {
	case 1: return 11;
	case 2: return skb->len;
	case 3: USE(switched); return 5;
	case 4: return 17;
	default: return 9;
	}
}

/* The same flag tested twice, with packets between. */
CASE(twice)
{
	bool again = false;

	if (on) {
		again = skb->len > 64;
		hide(again);
	}
	bpf_get_prandom_u32();
	if (again)
		USE(twice);
	return 0;
}

/* Joined values that are never what is asked for. */
CASE(joined)
{
	__u32 x = skb->len > 100 ? mode : 1;

	hide(x);
	if (x == 3)
		USE(joined);
	return 0;
}

static __noinline int by_argument(struct __sk_buff *skb, bool use);
CASE(argument)
{
	return by_argument(skb, false) + (on ? by_argument(skb, true) : 0);
}
static __noinline int by_argument(struct __sk_buff *skb, bool use)
{
	if (use)
		USE(argument);
	return skb->len;
}

static __noinline int not_called(struct __sk_buff *skb);
CASE(called)
{
	return mode == 3 ? not_called(skb) : 0;
}
static __noinline int not_called(struct __sk_buff *skb)
{
	USE(called);
	return skb->len;
}

static __noinline int verdict(struct __sk_buff *skb, int kind)
{
	hide(kind);
	if (kind == 0)
		return -1;
	return skb->len > 5 ? kind : -2;
}
CASE(returned)
{
	if (verdict(skb, mode) > 0)
		USE(returned);
	return 0;
}

CASE(in_struct)
{
	if (set.b == 9)
		USE(in_struct);
	return 0;
}

/* Copied to the stack, read back in another width. */
CASE(copied)
{
	struct {
		__u64 a;
		__u32 b;
		bool c;
	} copy = {.a = set.a, .b = skb->len, .c = skb->mark};

	asm volatile("" : : "r"(&copy) : "memory");
	if (*(volatile __u8 *)&copy.a == 77)
		USE(copied);
	return 0;
}

CASE(in_array)
{
	if (table[2] == 5)
		USE(in_array);
	return 0;
}

CASE(loop)
{
	__u32 sum = 0;

	for (__u32 i = 0; i < limit && i < 8; i++) {
		sum += skb->len;
		if (i == 3)
			USE(loop);
	}
	return sum;
}

static int callback(__u32 index, void *context);
CASE(in_callback)
{
	if (on)
		bpf_loop(3, callback, NULL, 0);
	return 0;
}
static int callback(__u32 index, void *context)
{
	USE(in_callback);
	return 0;
}

/* Tail calls: a constant slot, and one chosen by a constant. */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 8);
	__type(key, __u32);
	__type(value, __u32);
} calls SEC(".maps");
#define TAIL(slot) __attribute__((btf_decl_tag("tail:calls/" #slot)))

MAP(tail_two);
SEC("tc") TAIL(2) int tail_two(struct __sk_buff *skb)
{
	USE(tail_two);
	return 0;
}

MAP(tail_five);
SEC("tc") TAIL(5) int tail_five(struct __sk_buff *skb)
{
	USE(tail_five);
	return 0;
}

SEC("tc") int jumper(struct __sk_buff *skb)
{
	if (on)
		bpf_tail_call(skb, &calls, 2);
	bpf_tail_call(skb, &calls, limit);
	return 0;
}

char _license[] SEC("license") = "GPL";
