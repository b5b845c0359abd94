/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature http-visibility.
 *
 *   http_is_wanted()	a packet for the HTTP stage
 *   http_inspect()	the stage: parse, count, report
 */
#pragma once

#include "l7.h"

static __always_inline bool http_is_wanted(const struct packet *pkt, const struct verdict *v,
					   const __u32 hook)
{
	__u32 zero = 0;

	return pkt->protocol == IPPROTO_TCP && l7_is_candidate(pkt, v) &&
	       l7_is_on(bpf_map_lookup_elem(&http_ports, &zero), pkt, v, hook);
}

static __always_inline void http_count(__u32 slot)
{
	__u64 *value = bpf_map_lookup_elem(&http_metrics, &slot);

	if (value)
		(*value)++;
}

static __always_inline void http_inspect(struct __sk_buff *skb, const struct packet *pkt,
					 const __u32 hook)
{
	struct http_event *event = bpf_ringbuf_reserve(&http_events, sizeof(*event), 0);

	http_count(HTTP_REQUEST_FIRST);
	if (!event)
		return;
	__builtin_memset(event, 0, sizeof(*event));
	l7_head_init(&event->head, pkt, skb->ifindex, L7_REQUEST, hook);
	bpf_ringbuf_submit(event, 0);
}
