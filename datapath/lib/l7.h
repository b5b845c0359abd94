/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What the layer 7 features share. They look into packets that pass, in a stage of their own behind
 * everything else: the packet is rewritten by then, its flow has been reported, and only the verdict's
 * reason is handed on.
 *
 *   l7_is_possible()	a family that a program is called for (enum parse_families) is on
 *   l7_is_candidate()	passes, is whole, and has a payload
 *   l7_sides()		which ends of the packet have a port of the bitmap; 0: neither
 *   l7_hand_on()	before the tail call: report the flow, keep the reason in cb[0], clear cb[1]
 *   l7_take_over()	in the stage: the reason handed on, the packet parsed again
 *   l7_payload()	offset and length of the payload
 *   l7_head_init()	the part that all layer 7 events begin with
 *   l7_exit()		the stage's exit: count, report a drop, return
 */
#pragma once

#include "parse.h"
#include "verdict.h"

/* What the verifier knows of a packet that was never parsed, said outright. */
static __always_inline bool l7_is_possible(const int families)
{
	return (families & PARSE_IPV4 && enable_ipv4) || (families & PARSE_IPV6 && enable_ipv6);
}

static __always_inline bool l7_is_candidate(const struct packet *pkt, const struct verdict *v)
{
	return !verdict_is_drop(v) && pkt->l4_len && !(pkt->flags & PKT_FRAGMENT) &&
	       pkt->l4_off + pkt->l4_len < pkt->end_off;
}

static __always_inline bool l7_has_port(const struct l7_ports *ports, __be16 port)
{
	__u32 host = bpf_ntohs(port);

	return ports->bits[host >> 6] & 1ULL << (host & 63);
}

enum l7_side {
	L7_TO_SERVER = 1 << 0,
	L7_FROM_SERVER = 1 << 1,
};

/* `pkt` is as it came: what leaves a pod for a service carries the service's port still, and what
 * comes from a backend the backend's. The backend's is what counts. */
static __always_inline __u32 l7_sides(const struct l7_ports *ports, const struct packet *pkt,
				      const struct verdict *v, const __u32 hook)
{
	__be16 dport = pkt->dport;

	if (!ports)
		return 0;
	if (enable_load_balancer && hook == HOOK_FROM_POD && v->nat_port)
		dport = v->nat_port;
	return (l7_has_port(ports, dport) ? L7_TO_SERVER : 0) |
	       (l7_has_port(ports, pkt->sport) ? L7_FROM_SERVER : 0);
}

static __always_inline void l7_hand_on(struct __sk_buff *skb, const struct packet *pkt,
				       const struct verdict *v, const __u32 hook)
{
	if (enable_flow_events)
		event_report(pkt, v, skb->ifindex, hook);
	skb->cb[0] = v->reason;
	skb->cb[1] = 0;
}

static __always_inline bool l7_take_over(struct __sk_buff *skb, struct packet *pkt,
					 struct verdict *v)
{
	v->reason = skb->cb[0];
	return parse_skb(skb, pkt, PARSE_IP) == PARSE_OK && l7_is_candidate(pkt, v);
}

static __always_inline __u32 l7_payload(const struct packet *pkt, __u32 *off)
{
	*off = pkt->l4_off + pkt->l4_len;
	return pkt->end_off - *off;
}

static __always_inline void l7_head_init(struct l7_head *head, const struct packet *pkt,
					 __u32 ifindex, __u8 kind, const __u32 hook)
{
	head->time_ns = bpf_ktime_get_ns();
	head->ifindex = ifindex;
	head->kind = kind;
	head->hook = hook;
	head->family = pkt->family;
	head->protocol = pkt->protocol;
	head->sport = pkt->sport;
	head->dport = pkt->dport;
	head->pad = 0;
	event_addr(head->saddr, &pkt->saddr);
	event_addr(head->daddr, &pkt->daddr);
}

/* `action` is what a stage that answers by itself returns; else the verdict says. */
static __always_inline int l7_exit(struct __sk_buff *skb, const struct packet *pkt,
				   const struct verdict *v, int action, const __u32 hook)
{
	if (enable_datapath_metrics)
		metrics_count(v->reason, hook, pkt->len);
	if (!verdict_is_drop(v))
		return TC_ACT_UNSPEC;
	if (enable_flow_events)
		event_report(pkt, v, skb->ifindex, hook);
	return action;
}
