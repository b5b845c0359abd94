/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature flow-events: tell the agent, through a ring buffer, what became of a packet.
 *
 *   struct verdict	what to tell (see verdict.h)
 *   event_report()	send the event the verdict calls for, if any; callers check enable_flow_events
 */
#pragma once

#include "../include/config.h"
#include "../include/maps.h"
#include "packet.h"

struct verdict {
	union addr nat_addr;	/* address the load balancer writes; with nat_port, 0: none */
	__u64 packets;		/* FLOW_CLOSE: totals of the connection */
	__u64 bytes;
	__u32 rule;
	__u32 peer_identity;
	__be16 nat_port;
	__u8 reason;		/* enum bonsai_reason */
	__u8 kind;		/* enum flow_event_kind worth telling, 0: an ordinary packet */
	__u32 pad;
};

/* What to send: a drop always; else what the verdict names, or each packet if asked to. */
static __always_inline __u8 event_kind(const struct packet *pkt, const struct verdict *v)
{
	if (v->reason > DROP_FIRST)
		return FLOW_DROP;
	if (v->kind)
		return v->kind;
	return flow_aggregation == 0 && pkt->family ? FLOW_PACKET : 0;
}

static __always_inline void event_identities(struct flow_event *event, __u32 peer_identity,
					     const __u32 hook)
{
	__u32 pod_identity = 0;

	event->src_identity = 0;
	event->dst_identity = 0;
	if (hook != HOOK_FROM_POD && hook != HOOK_TO_POD)
		return;
	if (enable_policy) {
		__u32 ifindex = event->ifindex;
		const struct endpoint_value *pod = bpf_map_lookup_elem(&endpoints, &ifindex);

		if (pod)
			pod_identity = pod->identity;
	}
	event->src_identity = hook == HOOK_FROM_POD ? pod_identity : peer_identity;
	event->dst_identity = hook == HOOK_FROM_POD ? peer_identity : pod_identity;
}

static __always_inline void event_addr(__u8 *to, const union addr *from)
{
	__u32 *words = (__u32 *)to;

	words[0] = from->w[0];
	words[1] = from->w[1];
	words[2] = from->w[2];
	words[3] = from->w[3];
}

static __always_inline void event_report(const struct packet *pkt, const struct verdict *v,
					 __u32 ifindex, const __u32 hook)
{
	__u8 kind = event_kind(pkt, v);
	struct flow_event *event;

	if (!kind)
		return;
	if (kind != FLOW_DROP && flow_sampling > 1 && bpf_get_prandom_u32() % flow_sampling)
		return;
	event = bpf_ringbuf_reserve(&events, sizeof(*event), 0);
	if (!event)
		return;
	event->time_ns = bpf_ktime_get_ns();
	event->packets = kind == FLOW_CLOSE ? v->packets : 1;
	event->bytes = kind == FLOW_CLOSE ? v->bytes : pkt->len;
	event->ifindex = ifindex;
	event_identities(event, v->peer_identity, hook);
	event->rule = v->rule;
	event->kind = kind;
	event->reason = v->reason;
	event->hook = hook;
	event->family = pkt->family;
	event->protocol = pkt->protocol;
	event->tcp_flags = pkt->tcp_flags;
	event->sport = pkt->flags & PKT_ICMP ? pkt->icmp_type : pkt->sport;
	event->dport = pkt->flags & PKT_ICMP ? pkt->sport | pkt->dport : pkt->dport;
	event->pad = 0;
	event_addr(event->saddr, &pkt->saddr);
	event_addr(event->daddr, &pkt->daddr);
	event_addr(event->nat_addr, &v->nat_addr);
	event->nat_port = v->nat_port;
	event->pad2 = 0;
	bpf_ringbuf_submit(event, 0);
}
