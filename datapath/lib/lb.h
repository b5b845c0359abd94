/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Feature load-balancer, the part that the first packet of a connection meets.
 *
 *   lb_wants()		could this packet be for a service?
 *   lb_select()	find the service and choose a backend for it
 *   lb_choice_put() lb_choice_get() lb_choice_none()
 *			hand the choice to the next tail-call program, in skb->cb[]
 *   lb_create()	write front and back entry of a translated connection
 *
 * Callers check enable_load_balancer.
 */
#pragma once

#include "nat.h"

#include <linux/errno.h>

#define LB_TRIES 4	/* backends tried before giving up on a collision */

enum lb_result {
	LB_NO_SERVICE = 0,
	LB_CHOSEN,	/* nat_addr and nat_port of the verdict hold the backend */
	LB_REFUSED,	/* reason of the verdict says why */
};

static __always_inline bool lb_wants(const struct packet *pkt)
{
	return pkt->protocol == IPPROTO_TCP || pkt->protocol == IPPROTO_UDP;
}

/* A later fragment knows only the address: services leave a marker, port 0 and protocol 0. */
static __always_inline const struct service_value *lb_service(const struct packet *pkt,
							      const bool v6)
{
	const bool later = pkt->flags & PKT_LATER_FRAGMENT;
	const __u8 protocol = later ? 0 : pkt->protocol;

	if (v6) {
		struct service_key6 key = { .port = pkt->dport, .protocol = protocol };

		__builtin_memcpy(key.addr, &pkt->daddr, sizeof(key.addr));
		return bpf_map_lookup_elem(&services6, &key);
	} else {
		struct service_key4 key = {
			.addr = pkt->daddr.v4,
			.port = pkt->dport,
			.protocol = protocol,
		};

		return bpf_map_lookup_elem(&services4, &key);
	}
}

static __always_inline bool lb_backend(__u32 list, __u32 slot, struct verdict *v, const bool v6)
{
	struct backend_key key = { .list = list, .slot = slot };

	if (v6) {
		const struct backend6 *backend = bpf_map_lookup_elem(&backends6, &key);

		if (!backend)
			return false;
		__builtin_memcpy(&v->nat_addr, backend->addr, sizeof(v->nat_addr));
		v->nat_port = backend->port;
	} else {
		const struct backend4 *backend = bpf_map_lookup_elem(&backends4, &key);

		if (!backend)
			return false;
		v->nat_addr = (union addr){ .v4 = backend->addr };
		v->nat_port = backend->port;
	}
	return true;
}

/* Is the back entry's place free, or left over from an earlier life of this same connection? */
static __always_inline bool lb_back_is_free(const union ct_key *back, const struct packet *pkt,
					    __u64 now, const bool v6)
{
	const struct ct_entry *entry = ct_lookup(back, v6);

	if (!entry || !ct_live(entry, now))
		return true;
	return entry->flags & CT_NAT_BACK && entry->nat_port == pkt->dport &&
	       addr_equal(ct_nat_addr(entry), &pkt->daddr, v6);
}

static __always_inline enum lb_result lb_pick(const struct packet *pkt,
					      const struct service_value *service,
					      struct verdict *v, const bool v6)
{
	__u32 count = service->count, list = service->list;
	__u32 start = bpf_get_prandom_u32();
	__u64 now = bpf_jiffies64();
	union ct_key key;

	ct_key_of(&key, pkt, POLICY_EGRESS, v6);
	v->reason = DROP_NO_BACKEND;
	for (__u32 i = 0; i < LB_TRIES && i < count; i++) {
		if (!lb_backend(list, (start % count + i) % count, v, v6))
			continue;
		ct_key_set_peer(&key, &v->nat_addr, v->nat_port, v6);
		if (lb_back_is_free(&key, pkt, now, v6)) {
			v->reason = REASON_FORWARDED;
			return LB_CHOSEN;
		}
		v->reason = DROP_CT_COLLISION;
	}
	return LB_REFUSED;
}

static __always_inline enum lb_result lb_select(const struct packet *pkt, struct verdict *v,
						const bool v6)
{
	const struct service_value *service = lb_service(pkt, v6);

	if (!service)
		return LB_NO_SERVICE;
	if (pkt->flags & PKT_FRAGMENT) {
		v->reason = DROP_FRAGMENT;
		return LB_REFUSED;
	}
	return lb_pick(pkt, service, v, v6);
}

static __always_inline void lb_choice_put(struct __sk_buff *skb, const struct verdict *v)
{
	skb->cb[0] = v->nat_addr.w[0];
	skb->cb[1] = v->nat_addr.w[1];
	skb->cb[2] = v->nat_addr.w[2];
	skb->cb[3] = v->nat_addr.w[3];
	skb->cb[4] = v->nat_port;
}

static __always_inline void lb_choice_none(struct __sk_buff *skb)
{
	skb->cb[4] = 0;
}

/* True if a backend was chosen; no backend listens on port 0. */
static __always_inline bool lb_choice_get(struct __sk_buff *skb, struct verdict *v)
{
	v->nat_port = skb->cb[4];
	if (!v->nat_port)
		return false;
	v->nat_addr.w[0] = skb->cb[0];
	v->nat_addr.w[1] = skb->cb[1];
	v->nat_addr.w[2] = skb->cb[2];
	v->nat_addr.w[3] = skb->cb[3];
	return true;
}

/* Another CPU was faster with an earlier packet of the same connection: use its backend. */
static __always_inline bool lb_adopt(const union ct_key *front, const union ct_key *back,
				     const struct packet *pkt, struct verdict *v, __u64 now,
				     const bool v6)
{
	const struct ct_entry *winner = ct_find(front, pkt, now, v6);

	if (!winner || !(winner->flags & CT_NAT_FRONT))
		return false;
	if (winner->nat_port != v->nat_port ||
	    !addr_equal(ct_nat_addr(winner), &v->nat_addr, v6)) {
		ct_delete(back, v6);
		v->nat_addr = *ct_nat_addr(winner);
		v->nat_port = winner->nat_port;
	}
	if (v->kind == FLOW_NEW)
		v->kind = 0;
	return true;
}

static __always_inline void lb_entry_nat(struct ct_entry *entry, const union addr *addr,
					 __be16 port)
{
	__builtin_memcpy(entry->nat_addr, addr, sizeof(entry->nat_addr));
	entry->nat_port = port;
}

/* The back entry goes first: a reply must never meet a front entry alone. */
static __always_inline void lb_create(const union ct_key *front, struct ct_entry *entry,
				      const struct packet *pkt, struct verdict *v, __u64 now,
				      const bool v6)
{
	union ct_key back = *front;
	long ret;

	ct_key_set_peer(&back, &v->nat_addr, v->nat_port, v6);
	if (!lb_back_is_free(&back, pkt, now, v6)) {
		v->reason = DROP_CT_COLLISION;
		return;
	}
	entry->flags |= CT_NAT_BACK;
	lb_entry_nat(entry, &pkt->daddr, pkt->dport);
	if (ct_update(&back, entry, BPF_ANY, v6)) {
		v->reason = DROP_CT_FULL;
		return;
	}
	entry->flags ^= CT_NAT;
	lb_entry_nat(entry, &v->nat_addr, v->nat_port);
	ct_count(entry, pkt, POLICY_EGRESS); /* in the front entry alone: totals add up both */
	ret = ct_update(front, entry, BPF_NOEXIST, v6);
	if (ret == -EEXIST) {
		if (lb_adopt(front, &back, pkt, v, now, v6))
			return;
		ret = ct_update(front, entry, BPF_ANY, v6);
	}
	if (ret) {
		ct_delete(&back, v6);
		v->reason = DROP_CT_FULL;
	}
}
