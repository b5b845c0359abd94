/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * The steps that from_pod and to_pod share; `dir` and `v6` are literals at every call.
 *
 *   pod_parse()	parse; false: the verdict stands already (not IP, malformed, ND, family off)
 *   pod_established()	the short way: one look-up, act. Says which stage comes next otherwise
 *   pod_policy()	first packet, with policy: ask, then create the entry
 *   pod_create()	first packet, no policy: create the entry
 *   pod_recheck()	known connection, but policy has changed or denies it: ask again, then act
 */
#pragma once

#include "lb.h"
#include "parse.h"
#include "policy.h"
#include "verdict.h"

enum pod_step {
	POD_DONE = 0,
	POD_NEW,	/* no entry: balancer, policy, create */
	POD_STALE,	/* entry of an older policy epoch, or denied */
	POD_ICMP_ERROR,	/* belongs to whatever connection it quotes */
};

static __always_inline bool pod_parse(struct __sk_buff *skb, struct packet *pkt, struct verdict *v,
				      const int families)
{
	switch (parse_skb(skb, pkt, families)) {
	case PARSE_OK:
		return enable_conntrack && !(pkt->flags & PKT_ND);
	case PARSE_FAMILY_OFF:
		if (enable_policy)
			policy_refused(v);
		else
			pkt->family = 0;
		return false;
	case PARSE_INVALID:
		v->reason = DROP_INVALID;
		return false;
	}
	return false;
}

static __always_inline void pod_act(struct __sk_buff *skb, const struct packet *pkt,
				    struct verdict *v, struct ct_entry *entry,
				    const union ct_key *key, const int dir, __u64 now,
				    const bool v6)
{
	ct_follow(entry, key, pkt, v, dir, now, v6);
	if (enable_load_balancer)
		nat_apply(skb, pkt, entry, v, dir, v6);
}

static __always_inline enum pod_step pod_established(struct __sk_buff *skb,
						     const struct packet *pkt, struct verdict *v,
						     const int dir, const bool v6)
{
	struct ct_entry *entry;
	union ct_key key;
	__u64 now;

	if (pkt->flags & PKT_ICMP_ERROR)
		return POD_ICMP_ERROR;
	now = bpf_jiffies64();
	ct_key_of(&key, pkt, dir, v6);
	entry = ct_find(&key, pkt, now, v6);
	if (!entry)
		return POD_NEW;
	if (ct_is_stale(entry))
		return POD_STALE;
	pod_act(skb, pkt, v, entry, &key, dir, now, v6);
	return POD_DONE;
}

static __always_inline void pod_entry_init(struct ct_entry *entry, const struct packet *pkt,
					   const struct verdict *v, const int dir, __u32 epoch,
					   __u64 now)
{
	__u32 flags = dir == POLICY_EGRESS ? CT_OPENED_BY_POD : 0;

	flags |= ct_flags_of(pkt, flags, dir);
	if (v->reason == REASON_AUDITED)
		flags |= CT_AUDITED;
	*entry = (struct ct_entry){
		.expires = now + ct_lifetime(flags, pkt->protocol),
		.epoch = epoch,
		.rule = v->rule,
		.peer_identity = v->peer_identity,
		.flags = flags,
	};
}

/* Without policy and translation a flow does without its entry if need be. */
static __always_inline void pod_create_plain(const union ct_key *key, const struct ct_entry *entry,
					     const struct packet *pkt, struct verdict *v, __u64 now,
					     const bool v6)
{
	long ret = ct_update(key, entry, BPF_NOEXIST, v6);

	if (ret == -EEXIST) {
		if (ct_find(key, pkt, now, v6)) { /* another CPU was faster */
			if (v->kind == FLOW_NEW)
				v->kind = 0;
			return;
		}
		ret = ct_update(key, entry, BPF_ANY, v6);
	}
	if (ret && enable_policy && !policy_audit_mode)
		v->reason = DROP_CT_FULL;
}

static __always_inline void pod_create_entry(struct __sk_buff *skb, const struct packet *pkt,
					     struct verdict *v, const int dir, __u32 epoch,
					     const bool v6)
{
	__u64 now = bpf_jiffies64();
	struct ct_entry entry;
	union ct_key key;

	if (!v->kind)
		v->kind = FLOW_NEW;
	ct_key_of(&key, pkt, dir, v6);
	pod_entry_init(&entry, pkt, v, dir, epoch, now);
	if (enable_load_balancer && dir == POLICY_EGRESS && v->nat_port) {
		lb_create(&key, &entry, pkt, v, now, v6);
		if (!verdict_is_drop(v))
			nat_write(skb, pkt, v, dir, v6);
		return;
	}
	ct_count(&entry, pkt, dir);
	pod_create_plain(&key, &entry, pkt, v, now, v6);
}

static __always_inline void pod_create(struct __sk_buff *skb, const struct packet *pkt,
				       struct verdict *v, const int dir, const bool v6)
{
	if (enable_load_balancer && dir == POLICY_EGRESS)
		lb_choice_get(skb, v);
	pod_create_entry(skb, pkt, v, dir, 0, v6);
}

static __always_inline void pod_policy(struct __sk_buff *skb, const struct packet *pkt,
				       struct verdict *v, const int dir, const bool v6)
{
	struct policy_query query = {
		.peer = dir == POLICY_EGRESS ? &pkt->daddr : &pkt->saddr,
		.port = pkt->dport,
		.protocol = pkt->protocol,
		.direction = dir,
		.local = dir == POLICY_INGRESS && policy_is_local(skb),
	};
	/* Read before the rules are: a change in between makes the entry stale, not wrong. */
	__u32 epoch = ct_epoch();

	if (enable_load_balancer && dir == POLICY_EGRESS && lb_choice_get(skb, v)) {
		query.peer = &v->nat_addr;
		query.port = v->nat_port;
	}
	policy_check(skb, &query, v, v6);
	/* An error that belongs to no connection must not open one. */
	if (!verdict_is_drop(v) && !(pkt->flags & PKT_ICMP_ERROR))
		pod_create_entry(skb, pkt, v, dir, epoch, v6);
}

static __always_inline void pod_query(struct policy_query *query, union addr *peer,
				      const struct ct_entry *entry, const union ct_key *key,
				      const bool v6)
{
	const bool by_pod = entry->flags & CT_OPENED_BY_POD;
	__be16 pod_port = v6 ? key->v6.pod_port : key->v4.pod_port;
	__be16 peer_port;

	ct_key_peer(key, peer, &peer_port, v6);
	if (enable_load_balancer && entry->flags & CT_NAT_FRONT) {
		*peer = *ct_nat_addr(entry);
		peer_port = entry->nat_port;
	}
	query->peer = peer;
	query->port = by_pod ? peer_port : pod_port;
	query->protocol = v6 ? key->v6.protocol : key->v4.protocol;
	query->direction = by_pod ? POLICY_EGRESS : POLICY_INGRESS;
}

/* What leaves the pod does not tell who made the packets it answers: the entry remembers, unless
 * it is from before policy was on. Then the answers, which go to the node in any case, pass... */
static __always_inline bool pod_peer_is_local(const struct __sk_buff *skb,
					      const struct ct_entry *entry, const int dir)
{
	if (dir == POLICY_INGRESS)
		return policy_is_local(skb);
	return !entry->peer_identity || entry->peer_identity == IDENTITY_HOST;
}

/* ... but settle nothing: the next packet that enters is judged. */
static __always_inline bool pod_settles(const struct policy_query *query, const struct verdict *v,
					const struct ct_entry *entry, const int dir)
{
	return dir == POLICY_INGRESS || query->direction == POLICY_EGRESS ||
	       v->peer_identity != IDENTITY_HOST || entry->peer_identity;
}

static __always_inline enum pod_step pod_recheck(struct __sk_buff *skb, const struct packet *pkt,
						 struct verdict *v, const int dir, const bool v6)
{
	__u64 now = bpf_jiffies64();
	__u32 epoch = ct_epoch();
	struct policy_query query;
	struct ct_entry *entry;
	union ct_key key;
	union addr peer;

	ct_key_of(&key, pkt, dir, v6);
	entry = ct_find(&key, pkt, now, v6);
	if (!entry)
		return POD_NEW;
	pod_query(&query, &peer, entry, &key, v6);
	query.local = pod_peer_is_local(skb, entry, dir);
	policy_check(skb, &query, v, v6);
	if (verdict_is_drop(v)) {
		ct_deny(entry, &key, pkt, v, now, v6);
		return POD_DONE;
	}
	if (!pod_settles(&query, v, entry, dir)) {
		pod_act(skb, pkt, v, entry, &key, dir, now, v6);
		return POD_DONE;
	}
	entry->rule = v->rule;
	entry->peer_identity = v->peer_identity;
	if (v->reason == REASON_AUDITED)
		ct_flags_or(entry, CT_AUDITED);
	else if (entry->flags & CT_AUDITED)
		ct_flags_clear(entry, CT_AUDITED);
	if (entry->flags & CT_DENIED)
		ct_flags_clear(entry, CT_DENIED);
	entry->epoch = epoch;
	pod_act(skb, pkt, v, entry, &key, dir, now, v6);
	return POD_DONE;
}
