/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Every map of the datapath, unconditionally: cutting away what is not used is the agent's work.
 * A map of the same name in two objects is one map. Names are at most 15 characters.
 * The two tail-call arrays and the maps of life belong to one object each and stand with its code.
 */
#pragma once

#include "../lib/packet.h"
#include "contract.h"
#include "section.h"

/* ---- conntrack: feature conntrack, setting ct-entries ---- */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key4);
	__type(value, struct ct_entry);
	__uint(max_entries, 131072);
} ct4 SEC(".maps") MAP_FEATURE("conntrack") MAP_SIZED_BY("ct-entries");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key6);
	__type(value, struct ct_entry);
	__uint(max_entries, 131072);
} ct6 SEC(".maps") MAP_FEATURE("conntrack") MAP_SIZED_BY("ct-entries");

/* The tables of the generation before, while conntrack moves to tables of another size (ct_moving).
 * The agent puts the real ones in their places; they are never made at this size. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key4);
	__type(value, struct ct_entry);
	__uint(max_entries, 1);
} ct4_old SEC(".maps") MAP_FEATURE("conntrack");

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__type(key, struct ct_key6);
	__type(value, struct ct_entry);
	__uint(max_entries, 1);
} ct6_old SEC(".maps") MAP_FEATURE("conntrack");

/* ---- policy ---- */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, __u32); /* ifindex of the pod's host-side device */
	__type(value, struct endpoint_value);
	__uint(max_entries, 1024);
} endpoints SEC(".maps") MAP_FEATURE("policy") MAP_SIZED_BY("endpoint-entries");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct lpm_key4);
	__type(value, struct ipcache_value);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ipcache4 SEC(".maps") MAP_FEATURE("policy") MAP_SIZED_BY("ipcache-entries");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct lpm_key6);
	__type(value, struct ipcache_value);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} ipcache6 SEC(".maps") MAP_FEATURE("policy") MAP_SIZED_BY("ipcache-entries");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct policy_key);
	__type(value, struct policy_value);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} policy SEC(".maps") MAP_FEATURE("policy") MAP_SIZED_BY("policy-entries");

/* Raised by the agent after each change of policy, ipcache or endpoints: an established flow
 * whose entry carries another epoch goes through policy again. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, __u32);
	__uint(max_entries, 1);
} policy_epoch SEC(".maps") MAP_FEATURE("policy");

/* ---- load balancer ---- */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct service_key4);
	__type(value, struct service_value);
	__uint(max_entries, 16384);
} services4 SEC(".maps") MAP_FEATURE("load-balancer") MAP_SIZED_BY("service-entries");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct service_key6);
	__type(value, struct service_value);
	__uint(max_entries, 16384);
} services6 SEC(".maps") MAP_FEATURE("load-balancer") MAP_SIZED_BY("service-entries");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct backend_key);
	__type(value, struct backend4);
	__uint(max_entries, 65536);
} backends4 SEC(".maps") MAP_FEATURE("load-balancer") MAP_SIZED_BY("backend-entries");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__type(key, struct backend_key);
	__type(value, struct backend6);
	__uint(max_entries, 65536);
} backends6 SEC(".maps") MAP_FEATURE("load-balancer") MAP_SIZED_BY("backend-entries");

/* ---- prefilter ---- */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct lpm_key4);
	__type(value, struct prefilter_value);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} prefilter4 SEC(".maps") MAP_FEATURE("prefilter") MAP_SIZED_BY("prefilter-entries");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct lpm_key6);
	__type(value, struct prefilter_value);
	__uint(max_entries, 16384);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} prefilter6 SEC(".maps") MAP_FEATURE("prefilter") MAP_SIZED_BY("prefilter-entries");

/* ---- flow events ---- */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 20); /* bytes, a power of two */
} events SEC(".maps") MAP_FEATURE("flow-events") MAP_SIZED_BY("events-bytes");

/* ---- datapath metrics ---- */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32); /* METRICS_SLOT(reason, hook) */
	__type(value, struct metrics_value);
	__uint(max_entries, METRICS_SLOTS);
} metrics SEC(".maps") MAP_FEATURE("datapath-metrics");

/* ---- DNS visibility ---- */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct l7_ports);
	__uint(max_entries, 1);
} dns_ports SEC(".maps") MAP_FEATURE("dns-visibility");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18); /* bytes, a power of two */
} dns_events SEC(".maps") MAP_FEATURE("dns-visibility") MAP_SIZED_BY("dns-events-bytes");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32); /* enum dns_counter */
	__type(value, __u64);
	__uint(max_entries, DNS_COUNTERS);
} dns_metrics SEC(".maps") MAP_FEATURE("dns-visibility");

/* Names nobody may ask for; see contract.h. */
struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__type(key, struct dns_deny_key);
	__type(value, struct dns_deny_value);
	__uint(max_entries, 4096);
	__uint(map_flags, BPF_F_NO_PREALLOC);
} dns_deny SEC(".maps") MAP_FEATURE("dns-visibility") MAP_SIZED_BY("dns-deny-entries");

/* Where a message is worked on: too large for the stack, and a program at a tc hook is not interrupted
 * by another on its CPU. The agent does not look at it. */
#define DNS_REVERSED_END 259	/* where reversed names end, whatever their length */

/* How far reading has come. Volatile: what a round of a loop leaves for the next is to be read from
 * here again, for then it is any number to the verifier, each round looks to it like the one before,
 * and it walks one way through it. Numbers carried in registers make it walk them all. */
struct dns_walk {
	volatile __u32 off;	/* of the message in the packet; positions below count from there */
	volatile __u32 len;	/* of the message as far as it is in the packet */
	volatile __u32 pos;	/* what comes next */
	volatile __u32 end;	/* behind the name, where the question goes on; 0: not there yet */
	volatile __u32 out;	/* bytes of the name so far */
	volatile __u16 questions; /* to skip: all but the first */
	volatile __u16 answers;	/* to look at */
	volatile __u8 found;	/* addresses */
	volatile __u8 partial;	/* the packet holds less than the whole message */
	volatile __u8 forward;	/* a pointer led forward */
	volatile __u8 whole;	/* name, type and class of the question were read */
	volatile __u8 phase;	/* enum dns_phase */
	volatile __u8 rounds;	/* calls of the stage that this phase has taken */
	volatile __u8 kind;	/* enum dns_kind, as far as is known */
	__u8 pad;
};

/* A message's header. Numbers in network byte order. */
struct dns_header {
	__be16 id;
	__u8 flags[2];
	__be16 questions;
	__be16 answers;
	__be16 authority;
	__be16 additional;
};

/* An answer over UDP. */
struct dns_reply {
	__be16 sport;
	__be16 dport;
	__be16 len;
	__be16 check;
	struct dns_header header;
	__u8 question[268];	/* name, type, class, zeroes */
};

struct dns_scratch {
	__u8 reversed[584];	/* prefixlen and name of a dns_deny_key, somewhere */
	struct dns_event event;
	struct packet pkt;
	struct dns_walk walk;
	struct dns_header header;
	struct dns_reply reply;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct dns_scratch);
	__uint(max_entries, 1);
} dns_scratch SEC(".maps") MAP_FEATURE("dns-visibility");

/* ---- HTTP visibility ---- */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__type(key, __u32);
	__type(value, struct l7_ports);
	__uint(max_entries, 1);
} http_ports SEC(".maps") MAP_FEATURE("http-visibility");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 1 << 18); /* bytes, a power of two */
} http_events SEC(".maps") MAP_FEATURE("http-visibility") MAP_SIZED_BY("http-events-bytes");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32); /* enum http_counter */
	__type(value, __u64);
	__uint(max_entries, HTTP_COUNTERS);
} http_metrics SEC(".maps") MAP_FEATURE("http-visibility");

/* Where a message is taken apart: too much for the stack. tc programs run with softirqs off, so no two
 * packets of a CPU meet in it. */
struct http_scratch {
	struct http_event event;
	__u32 len;		/* of `bytes` in use */
	__u32 pad;
	__u8 bytes[HTTP_READ];
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__type(key, __u32);
	__type(value, struct http_scratch);
	__uint(max_entries, 1);
} http_scratch SEC(".maps") MAP_FEATURE("http-visibility");
