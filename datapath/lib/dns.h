/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature dns-visibility.
 *
 *   dns_is_wanted()	a packet for the DNS stage
 *   dns_inspect()	the stage: parse, count, report
 */
#pragma once

#include "l7.h"

static __always_inline bool dns_is_wanted(const struct packet *pkt, const struct verdict *v,
					  const __u32 hook)
{
	__u32 zero = 0;

	return l7_is_candidate(pkt, v) && l7_is_on(bpf_map_lookup_elem(&dns_ports, &zero), pkt, v, hook);
}

static __always_inline void dns_count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&dns_metrics, &slot);

	if (value)
		(*value)++;
}

static __always_inline int dns_inspect(struct __sk_buff *skb, const struct packet *pkt,
				       const __u32 hook)
{
	struct dns_event *event = bpf_ringbuf_reserve(&dns_events, sizeof(*event), 0);

	dns_count(DNS_QUERIES);
	if (!event)
		return TC_ACT_SHOT;
	__builtin_memset(event, 0, sizeof(*event));
	l7_head_init(&event->head, pkt, skb->ifindex, L7_REQUEST, hook);
	bpf_ringbuf_submit(event, 0);
	return TC_ACT_SHOT;
}
