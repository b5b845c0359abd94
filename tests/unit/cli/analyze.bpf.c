// SPDX-License-Identifier: Apache-2.0
// Something of each kind that an analysis shows. What is alive is in analyze_test.cc.
#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_helpers.h>

#define TAG(text) __attribute__((btf_decl_tag(text)))
#define CONFIG __attribute__((section(".rodata.config"), unused))
#define MAP(name, kind, entries) \
	struct { \
		__uint(type, kind); \
		__uint(max_entries, entries); \
		__type(key, __u32); \
		__type(value, __u32); \
	} name SEC(".maps")

struct limits {
	__u16 low;
	__s32 high;
	struct {
		__u8 list[4];
		bool on;
	} part;
	__u32 narrow : 5;
	__s32 tiny : 3;
};
union word {
	__u32 whole;
	__u16 half[2];
};

static const volatile bool __config_first_way CONFIG = true;
static const volatile __u64 __config_level CONFIG = 3;
static const volatile __s8 __config_bias CONFIG = -3;
static const volatile struct limits __config_limits CONFIG = {
	.low = 1, .high = -2, .part = {.list = {1, 2, 3, 4}, .on = false}, .narrow = 17, .tiny = -1,
};
static const volatile union word __config_word CONFIG = {.whole = 7};
const volatile __u32 plain = 5;
__u32 counter = 1;

MAP(both, BPF_MAP_TYPE_HASH, 16);
MAP(first_map, BPF_MAP_TYPE_HASH, 16);
MAP(second_map, BPF_MAP_TYPE_HASH, 16);
MAP(high_map, BPF_MAP_TYPE_HASH, 16);
MAP(field_map, BPF_MAP_TYPE_HASH, 16);
MAP(unused_map, BPF_MAP_TYPE_HASH, 16);
MAP(calls, BPF_MAP_TYPE_PROG_ARRAY, 8);

struct inner {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
} inner_map SEC(".maps");
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, 1);
	__type(key, __u32);
	__array(values, struct inner);
} outer_map SEC(".maps") = { .values = { [0] = &inner_map } };

#define USE(map) \
	do { \
		__u32 key = 0; \
		__u32 *value = bpf_map_lookup_elem(&map, &key); \
		if (value) \
			__sync_fetch_and_add(value, 1); \
	} while (0)

static __noinline int high(void)
{
	USE(high_map);
	return 0;
}

static int each(__u32 index, void *context)
{
	USE(both);
	return 0;
}

SEC("tc/of-any-name") int start(struct __sk_buff *skb)
{
	__u32 key = 0;

	counter += plain;
	bpf_loop(2, each, 0, 0);
	bpf_map_lookup_elem(&outer_map, &key);
	if (__config_level > 5)
		high();
	if (__config_limits.part.on || __config_limits.narrow == 3 || __config_word.half[1] == 9)
		USE(field_map);
	if (__config_first_way) {
		USE(first_map);
		bpf_tail_call(skb, &calls, 1);
	} else {
		USE(second_map);
		bpf_tail_call(skb, &calls, 2);
	}
	return __config_bias + __config_limits.high + __config_limits.tiny;
}

SEC("tc") TAG("tail:calls/1") int one(struct __sk_buff *skb)
{
	USE(both);
	bpf_tail_call(skb, &calls, skb->mark & 7);
	return 1;
}

SEC("tc") TAG("tail:calls/2") int two(struct __sk_buff *skb)
{
	USE(second_map);
	return 2;
}

// Without a tag; bound from outside.
SEC("tc") int three(struct __sk_buff *skb)
{
	USE(both);
	return 3;
}

char _license[] SEC("license") = "Dual BSD/GPL";
