/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The verdict a program works out step by step, and the one way out of each program, where it is
 * counted and reported.
 *
 *   struct verdict	what was decided and what is worth telling about it
 *   verdict_is_drop()	reason to yes or no
 *   verdict_tc()	exit of a tc program: TC_ACT_UNSPEC (next program, stack) or TC_ACT_SHOT
 *   verdict_xdp()	exit of an XDP program
 */
#pragma once

#include "events.h"
#include "metrics.h"

#include <linux/pkt_cls.h>

static __always_inline bool verdict_is_drop(const struct verdict *v)
{
	return v->reason > DROP_FIRST;
}

static __always_inline void verdict_report(const struct packet *pkt, const struct verdict *v,
					   __u32 ifindex, const __u32 hook)
{
	if (enable_datapath_metrics)
		metrics_count(v->reason, hook, pkt->len);
	if (enable_flow_events)
		event_report(pkt, v, ifindex, hook);
}

static __always_inline int verdict_tc(struct __sk_buff *skb, const struct packet *pkt,
				      const struct verdict *v, const __u32 hook)
{
	verdict_report(pkt, v, skb->ifindex, hook);
	return verdict_is_drop(v) ? TC_ACT_SHOT : TC_ACT_UNSPEC;
}

static __always_inline int verdict_xdp(struct xdp_md *xdp, const struct packet *pkt,
				       const struct verdict *v)
{
	verdict_report(pkt, v, xdp->ingress_ifindex, HOOK_XDP);
	return verdict_is_drop(v) ? XDP_DROP : XDP_PASS;
}
