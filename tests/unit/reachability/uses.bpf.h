/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Small programs that use constants in ordinary and in nasty ways. USE(x) touches map m_x. */
#pragma once

#include <linux/bpf.h>
#include <stdbool.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

#define MAP(name)                                                                                  \
	struct {                                                                                   \
		__uint(type, BPF_MAP_TYPE_ARRAY);                                                  \
		__uint(max_entries, 1);                                                            \
		__type(key, __u32);                                                                \
		__type(value, __u64);                                                              \
	} m_##name SEC(".maps")

/* A program with one map: what the constants decide is whether the map is reached. */
#define CASE(name)                                                                                 \
	MAP(name);                                                                                 \
	SEC("tc") int name(struct __sk_buff *skb)

#define USE(name)                                                                                  \
	({                                                                                         \
		__u32 key_ = 0;                                                                    \
		__u64 *value_ = bpf_map_lookup_elem(&m_##name, &key_);                             \
		if (value_)                                                                        \
			__sync_fetch_and_add(value_, 1);                                           \
		0;                                                                                 \
	})

#define CONFIG(type, name, value)                                                                  \
	static const volatile type name __attribute__((section(".rodata.config"), unused)) = (value)
