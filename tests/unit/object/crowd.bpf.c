// SPDX-License-Identifier: Apache-2.0
// As large as objects get: 400 maps, 120 constants, 20 programs, more than 60 thousand instructions.
#include <linux/bpf.h>

#include <bpf/bpf_helpers.h>

#define TEN(x, n) x(n##0) x(n##1) x(n##2) x(n##3) x(n##4) x(n##5) x(n##6) x(n##7) x(n##8) x(n##9)
#define HUNDRED(x, n) TEN(x, n##0) TEN(x, n##1) TEN(x, n##2) TEN(x, n##3) TEN(x, n##4) \
	TEN(x, n##5) TEN(x, n##6) TEN(x, n##7) TEN(x, n##8) TEN(x, n##9)

#define MAP(n) struct { \
		__uint(type, BPF_MAP_TYPE_HASH); \
		__uint(max_entries, 1##n); \
		__type(key, __u32); \
		__type(value, __u64); \
	} map_##n SEC(".maps");
HUNDRED(MAP, 0) HUNDRED(MAP, 1) HUNDRED(MAP, 2) HUNDRED(MAP, 3)

#define CONSTANT(n) const volatile __u32 __config_##n = 1##n;
HUNDRED(CONSTANT, 0) TEN(CONSTANT, 10) TEN(CONSTANT, 11)

#define USE(n) \
	count += bpf_map_lookup_elem(&map_##n, &key) != 0; \
	asm volatile("" : "+r"(count));
#define SUM(n) count += __config_##n;

static __noinline int count_all(__u32 key)
{
	int count = 0;

	HUNDRED(USE, 0) HUNDRED(USE, 1) HUNDRED(USE, 2) HUNDRED(USE, 3)
	return count;
}

#define PROGRAM(n) SEC("tc/" #n) int program_##n(struct __sk_buff *skb) \
{ \
	__u32 key = skb->mark, count = 0; \
	HUNDRED(SUM, 0) TEN(SUM, 10) TEN(SUM, 11) \
	asm volatile(".rept 3000\n\tr0 = 0\n\t.endr" ::: "r0"); \
	return count + count_all(key); \
}
PROGRAM(0) PROGRAM(1) PROGRAM(2) PROGRAM(3) PROGRAM(4) PROGRAM(5) PROGRAM(6) PROGRAM(7)
PROGRAM(8) PROGRAM(9) PROGRAM(10) PROGRAM(11) PROGRAM(12) PROGRAM(13) PROGRAM(14) PROGRAM(15)
PROGRAM(16) PROGRAM(17) PROGRAM(18) PROGRAM(19)

char _license[] SEC("license") = "GPL";
