/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * What crosses the border between kernel and agent: keys, values and events.
 *
 * Compiles as C (the datapath) and as C++20 (the agent). Every struct is free of implicit padding
 * and has its size asserted, because its bytes are hashed, compared and written to ring buffers.
 * Addresses and ports are in network byte order, everything else in host byte order.
 * IPv4 addresses in a 16-byte field use the first four bytes; the rest is zero.
 */
#pragma once

#include <linux/types.h>

#ifdef __cplusplus
#define BONSAI_ASSERT_SIZE(type, size) static_assert(sizeof(type) == (size), #type)
#else
#define BONSAI_ASSERT_SIZE(type, size) _Static_assert(sizeof(type) == (size), #type)
#endif

/* ---- identities -------------------------------------------------------------------------------
 * A number that stands for a set of labels (pods) or a CIDR. The agent allocates them. */
enum bonsai_identity {
	IDENTITY_ANY = 0,		/* wildcard in the policy map; never a peer's identity */
	IDENTITY_HOST = 1,		/* this node's own addresses; may always reach its pods,
					 * but only with packets it made itself */
	IDENTITY_WORLD = 2,		/* whatever no ipcache entry covers */
	IDENTITY_FIRST_POD = 256,	/* pods: one identity a label set */
	IDENTITY_FIRST_CIDR = 1 << 24,	/* CIDRs named by policies */
};

/* ---- where a packet was seen ------------------------------------------------------------------ */
enum bonsai_hook {
	HOOK_XDP = 0,		/* uplink, before the stack */
	HOOK_FROM_POD = 1,	/* tc ingress of a pod's host-side device: leaving the pod */
	HOOK_TO_POD = 2,	/* tc egress of a pod's host-side device: entering the pod */
	HOOK_FROM_NETDEV = 3,	/* tc ingress of an uplink */
	HOOK_COUNT = 4,
};

/* ---- why a packet was forwarded or dropped ----------------------------------------------------
 * X(symbol, value, label): `label` is what metrics, flows and agentctl print. Values never change. */
#define BONSAI_REASONS(X)                                                                          \
	X(REASON_FORWARDED, 0, "forwarded")                                                        \
	X(REASON_AUDITED, 1, "audited")                                                            \
	X(DROP_FIRST, 2, "drop-first") /* never emitted: below are forwards, above are drops */    \
	X(DROP_INVALID, 3, "invalid-packet")                                                       \
	X(DROP_PREFILTER, 4, "prefilter")                                                          \
	X(DROP_POLICY, 5, "policy-denied")                                                         \
	X(DROP_POLICY_DEFAULT, 6, "policy-default-denied")                                         \
	X(DROP_NO_ENDPOINT, 7, "unknown-endpoint")                                                 \
	X(DROP_NO_BACKEND, 8, "no-backend")                                                        \
	X(DROP_FRAGMENT, 9, "fragment-untranslatable")                                             \
	X(DROP_FAMILY, 10, "address-family-disabled")                                              \
	X(DROP_CT_FULL, 11, "conntrack-insert-failed")                                             \
	X(DROP_CT_COLLISION, 12, "conntrack-collision")                                            \
	X(DROP_TAIL_CALL, 13, "missed-tail-call")                                                  \
	X(DROP_REWRITE, 14, "rewrite-failed")                                                      \
	X(DROP_DNS_DENIED, 15, "dns-denied") /* answered with REFUSED, or reset */

enum bonsai_reason {
#define X(symbol, value, label) symbol = value,
	BONSAI_REASONS(X)
#undef X
	REASON_COUNT = 16,
};

/* ---- metrics: one per-CPU slot a (reason, hook) ------------------------------------------------ */
#define METRICS_SLOT(reason, hook) ((__u32)(reason) * HOOK_COUNT + (__u32)(hook))
#define METRICS_SLOTS (REASON_COUNT * HOOK_COUNT)

struct metrics_value {
	__u64 packets;
	__u64 bytes;
};
BONSAI_ASSERT_SIZE(struct metrics_value, 16);

/* ---- endpoints: ifindex of the pod's host-side device -> what we know of the pod --------------- */
enum endpoint_flags {
	ENDPOINT_ENFORCE_INGRESS = 1 << 0,	/* some policy selects the pod for ingress */
	ENDPOINT_ENFORCE_EGRESS = 1 << 1,
};

struct endpoint_value {
	__u32 endpoint_id;	/* key of the pod's rules in the policy map, never 0 */
	__u32 identity;
	__u32 flags;		/* enum endpoint_flags */
	__be32 ipv4;		/* 0: the pod has none */
	__u8 ipv6[16];		/* all zero: the pod has none */
};
BONSAI_ASSERT_SIZE(struct endpoint_value, 32);

/* ---- ipcache and prefilter: longest prefix tries ------------------------------------------------ */
struct lpm_key4 {
	__u32 prefixlen;	/* 0..32 */
	__be32 addr;
};
BONSAI_ASSERT_SIZE(struct lpm_key4, 8);

struct lpm_key6 {
	__u32 prefixlen;	/* 0..128 */
	__u8 addr[16];
};
BONSAI_ASSERT_SIZE(struct lpm_key6, 20);

struct ipcache_value {
	__u32 identity;
};

struct prefilter_value {
	__u32 rule;		/* index of the CIDR in the setting, for flow events */
};

/* ---- policy: longest prefix trie ----------------------------------------------------------------
 * The trie orders a key as endpoint, identity, direction, protocol, port. The datapath asks twice,
 * for the peer's identity and for IDENTITY_ANY; a deny in either answer wins, then an allow in
 * either. Within one identity the longest match answers, so the agent leaves no allow below a
 * broader deny. */
enum policy_direction {
	POLICY_EGRESS = 0,	/* leaving the pod */
	POLICY_INGRESS = 1,	/* entering the pod */
};

enum policy_action {
	POLICY_ALLOW = 1,
	POLICY_DENY = 2,
};

#define POLICY_PREFIX_L3 72	/* endpoint, identity, direction */
#define POLICY_PREFIX_PROTO 80	/* ... and protocol */
#define POLICY_PREFIX_FULL 96	/* ... and the whole port; 81..95 are port ranges */

struct policy_key {
	__u32 prefixlen;
	__u32 endpoint_id;
	__u32 identity;
	__u8 direction;		/* enum policy_direction */
	__u8 protocol;		/* IPPROTO_* */
	__be16 port;		/* destination port; 0 for what has none (ICMP, later fragments) */
};
BONSAI_ASSERT_SIZE(struct policy_key, 16);

struct policy_value {
	__u32 rule;		/* id of the rule, see `agentctl policies` */
	__u32 action;		/* enum policy_action */
};
BONSAI_ASSERT_SIZE(struct policy_value, 8);

/* ---- conntrack -----------------------------------------------------------------------------------
 * A key names the pod's side and the peer's side, not source and destination: both directions of a
 * connection meet the same entry with one look-up. A connection through a service has two: the
 * *front* entry (peer = service address), met by what leaves the pod and holding the backend to
 * write into the destination; and the *back* entry (peer = backend), met by the replies and
 * holding the service address to write into the source. Each can be found from the other.
 *
 * ICMP echo: the identifier stands in the port of the side that sent the request; the other is 0. */
struct ct_key4 {
	__be32 pod;
	__be32 peer;
	__be16 pod_port;
	__be16 peer_port;
	__u8 protocol;
	__u8 pad[3];		/* zero */
};
BONSAI_ASSERT_SIZE(struct ct_key4, 16);

struct ct_key6 {
	__u8 pod[16];
	__u8 peer[16];
	__be16 pod_port;
	__be16 peer_port;
	__u8 protocol;
	__u8 pad[3];		/* zero */
};
BONSAI_ASSERT_SIZE(struct ct_key6, 40);

enum ct_flags {
	CT_OPENED_BY_POD = 1 << 0,	/* the pod sent the first packet */
	CT_SEEN_REPLY = 1 << 1,		/* both directions carried a packet */
	CT_ESTABLISHED = 1 << 2,	/* TCP: handshake over; UDP: same as SEEN_REPLY */
	CT_FIN_FROM_POD = 1 << 3,
	CT_FIN_TO_POD = 1 << 4,
	CT_RST = 1 << 5,
	CT_NAT_FRONT = 1 << 6,		/* front entry: write nat_* into the destination */
	CT_NAT_BACK = 1 << 7,		/* back entry: write nat_* into the source */
	CT_AUDITED = 1 << 8,		/* policy would have denied it; audit mode let it pass */
	CT_DENIED = 1 << 9,		/* policy denies it by now: nothing passes, whoever sends */
};

struct ct_entry {
	__u64 expires;		/* jiffies64 after which the agent may collect it */
	__u32 epoch;		/* policy_epoch under which the verdict was taken */
	__u32 rule;		/* rule that allowed it, 0: none was needed */
	__u32 peer_identity;	/* 0 while policy is off */
	__u16 flags;		/* enum ct_flags */
	__be16 nat_port;
	__u8 nat_addr[16];
	__u64 packets[2];	/* [0] leaving the pod, [1] entering it; counted while flow events are on */
	__u64 bytes[2];
};
BONSAI_ASSERT_SIZE(struct ct_entry, 72);

/* ---- load balancer --------------------------------------------------------------------------------
 * service -> (list, count); (list, slot) -> backend. A change of backends writes a new list, then
 * the service entry, then removes the old list: readers see one list whole, or the other.
 *
 * Each service address has a marker besides: port 0, protocol 0, list and count 0. Later fragments
 * know no port; by the marker they are seen to be for a service, and dropped. */
struct service_key4 {
	__be32 addr;
	__be16 port;
	__u8 protocol;
	__u8 pad;		/* zero */
};
BONSAI_ASSERT_SIZE(struct service_key4, 8);

struct service_key6 {
	__u8 addr[16];
	__be16 port;
	__u8 protocol;
	__u8 pad;		/* zero */
};
BONSAI_ASSERT_SIZE(struct service_key6, 20);

struct service_value {
	__u32 list;		/* id of the backend list */
	__u32 count;		/* backends in it; 0: dropped with DROP_NO_BACKEND */
};
BONSAI_ASSERT_SIZE(struct service_value, 8);

struct backend_key {
	__u32 list;
	__u32 slot;		/* 0..count-1 */
};
BONSAI_ASSERT_SIZE(struct backend_key, 8);

struct backend4 {
	__be32 addr;
	__be16 port;
	__u16 pad;		/* zero */
};
BONSAI_ASSERT_SIZE(struct backend4, 8);

struct backend6 {
	__u8 addr[16];
	__be16 port;
	__u16 pad;		/* zero */
};
BONSAI_ASSERT_SIZE(struct backend6, 20);

/* ---- flow events ------------------------------------------------------------------------------------ */
enum flow_event_kind {
	FLOW_NEW = 1,		/* first packet of a connection, allowed */
	FLOW_DROP = 2,
	FLOW_AUDIT = 3,		/* would have been dropped; audit mode */
	FLOW_CLOSE = 4,		/* both FINs or a RST were seen; counters are those of the entry */
	FLOW_PACKET = 5,	/* any other packet, only with flow-aggregation = 0 */
};

struct flow_event {
	__u64 time_ns;		/* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	__u64 packets;		/* FLOW_CLOSE: both directions together; else 1 */
	__u64 bytes;
	__u32 ifindex;
	__u32 src_identity;	/* 0: not known (policy off) */
	__u32 dst_identity;
	__u32 rule;		/* policy rule that decided, 0: none; of DROP_PREFILTER and DROP_DNS_DENIED
				 * the entry's place in the list, from 0 */
	__u8 kind;		/* enum flow_event_kind */
	__u8 reason;		/* enum bonsai_reason */
	__u8 hook;		/* enum bonsai_hook */
	__u8 family;		/* 4 or 6 */
	__u8 protocol;
	__u8 tcp_flags;		/* as in the TCP header's 14th byte */
	__be16 sport;		/* ICMP: the type byte, then the code byte, as in the packet */
	__be16 dport;		/* ICMP echo: the identifier */
	__u16 pad;		/* zero */
	__u8 saddr[16];		/* as the packet arrived at the hook, before any rewrite; of DROP_DNS_DENIED
				 * behind it, with no identities */
	__u8 daddr[16];
	__u8 nat_addr[16];	/* address written by the load balancer, all zero: none */
	__be16 nat_port;
	__u16 pad2;		/* zero */
};
BONSAI_ASSERT_SIZE(struct flow_event, 104);

/* ---- life --------------------------------------------------------------------------------------------
 * Generation g stands in life_even if g is even, else in life_odd. The timer's callback computes
 * g + 1 into the other board, some rows at a time, and raises `generation` when all are done: the
 * board of g is written again only after that. So a reader that sees the same `seeds` (even) and the
 * same `generation` before and after copying the board of that generation has it whole.
 *
 * User space writes boards and state only while the timer stands still (program life_stop), with
 * `seeds` odd as long as boards are written, and lets it go on with program life_start. */
#define LIFE_MAX_SIDE 2048
#define LIFE_FOREVER (~0ULL)	/* run_until: nobody paused it */
#define LIFE_ROW_WORDS (LIFE_MAX_SIDE / 64 + 2)

/* Cell x is bit x % 64 of words[1 + x / 64]. The torus is in the words: bit 63 of words[0] repeats
 * the last cell, and the bit after the last cell repeats the first. Other bits are anything. */
struct life_row {
	__u64 words[LIFE_ROW_WORDS];
};
BONSAI_ASSERT_SIZE(struct life_row, 272);

struct life_state {
	__u64 seeds;		/* times a board was set, twice each; odd: one is being written */
	__u64 generation;	/* the last whole one; 0 after a seed */
	__u64 population;	/* live cells in it */
	__u64 run_until;	/* generation to stop at, or LIFE_FOREVER */
	__u64 interval_ns;	/* from the beginning of a generation to that of the next, at least, a seed
				 * between them or not;
				 * not when it runs up to a certain generation */
	__u32 width;		/* of the boards as they are; 0: there is none yet */
	__u32 height;
	/* the generation in the making */
	__u64 partial_population;
	__u64 partial_ns;	/* CPU time so far */
	__u64 begun_ns;		/* CLOCK_MONOTONIC */
	__u32 next_row;		/* 0: not begun */
	__u32 interval_ms;	/* the setting that interval_ns was last taken from */
	/* accounts, never set back */
	__u64 generations;	/* computed */
	__u64 last_ns;		/* CPU time of the last one */
	__u64 total_ns;		/* CPU time of all */
	__u64 slices;		/* runs of the callback */
	__u64 longest_ns;	/* the longest of them */
	__u64 events_lost;	/* nobody read life_events */
	__u64 told_ns;		/* when readers of life_events were last woken */
};
BONSAI_ASSERT_SIZE(struct life_state, 136);

struct life_event {
	__u64 time_ns;		/* CLOCK_MONOTONIC */
	__u64 seeds;		/* as in life_state */
	__u64 generation;
	__u64 population;
	__u64 cpu_ns;		/* that computing it took */
};
BONSAI_ASSERT_SIZE(struct life_event, 40);

/* ---- layer 7 --------------------------------------------------------------------------------------
 * What the programs saw inside of packets that pass. Nothing in these events is to be trusted: the
 * bytes are those of whoever sent the packet, cut to the room there is. */

/* Which ports a protocol is looked for on: those that servers listen on (a service's target ports). */
struct l7_ports {
	__u64 bits[1024];	/* port p, in host order: bit p % 64 of word p / 64 */
};
BONSAI_ASSERT_SIZE(struct l7_ports, 8192);

enum l7_kind {
	L7_REQUEST = 1,
	L7_RESPONSE = 2,
	L7_DENIED = 3,		/* a DNS query that dns-deny names */
	L7_MALFORMED = 4,	/* on a port of the protocol, but not to be parsed */
};

struct l7_head {
	__u64 time_ns;		/* bpf_ktime_get_ns(): CLOCK_MONOTONIC */
	__u32 ifindex;
	__u8 kind;		/* enum l7_kind */
	__u8 hook;		/* enum bonsai_hook */
	__u8 family;		/* 4 or 6 */
	__u8 protocol;
	__be16 sport;
	__be16 dport;
	__u32 pad;		/* zero */
	__u8 saddr[16];		/* as the packet left the hook, after any rewrite */
	__u8 daddr[16];
};
BONSAI_ASSERT_SIZE(struct l7_head, 56);

/* ---- DNS ------------------------------------------------------------------------------------------ */
#define DNS_NAME_MAX 255	/* RFC 1035, 3.1: labels, their lengths and the root together */
#define DNS_ANSWERS_KEPT 8

enum dns_event_flags {
	DNS_NAME_CUT = 1 << 0,		/* `name` is not the whole name */
	DNS_ANSWERS_CUT = 1 << 1,	/* there are more addresses than in `answers`, or past what was read */
	DNS_TRUNCATED = 1 << 2,		/* TC bit of the header */
};

struct dns_answer {
	__u8 addr[16];
	__u8 family;		/* 4 or 6 */
	__u8 pad[3];		/* zero */
};
BONSAI_ASSERT_SIZE(struct dns_answer, 20);

struct dns_event {
	struct l7_head head;
	__u16 id;		/* host order, as all numbers here */
	__u16 qtype;
	__u8 rcode;
	__u8 flags;		/* enum dns_event_flags */
	__u8 name_len;		/* bytes of `name` in use */
	__u8 answer_count;	/* of `answers` in use */
	__u8 name[256];		/* wire format without compression: length, label, ..., 0; case as sent */
	struct dns_answer answers[DNS_ANSWERS_KEPT];
};
BONSAI_ASSERT_SIZE(struct dns_event, 480);

/* Per-CPU counters of all hooks. Each message is counted once, and besides if its event was lost. */
enum dns_counter {
	DNS_QUERIES = 0,
	DNS_DENIED = 1,
	DNS_MALFORMED = 2,
	DNS_RCODE_FIRST = 3,	/* responses by code: DNS_RCODE_FIRST + 0..15 */
	DNS_LOST = 19,		/* events that the ring buffer had no room for */
	DNS_COUNTERS = 20,
};

/* Longest prefix trie of the names that dns-deny lists: labels from the last to the first, each as
 * its length and its bytes in lower case, then a 0. Lengths come before labels, so a prefix that ends
 * with a label is that domain and all below it, and one that includes the 0 is that name alone: a
 * look-up of the whole name answers both. All of it is within the 256 bytes that a trie allows. */
struct dns_deny_key {
	__u32 prefixlen;	/* bits of `name` */
	__u8 name[256];
};
BONSAI_ASSERT_SIZE(struct dns_deny_key, 260);

enum dns_deny_action {
	DNS_DENY = 1,
	DNS_ALLOW = 2,	/* the domain of "*.domain", which only means what is below it */
};

struct dns_deny_value {
	__u32 rule;		/* place of the entry in dns-deny */
	__u32 action;		/* enum dns_deny_action */
};
BONSAI_ASSERT_SIZE(struct dns_deny_value, 8);

/* ---- HTTP/1 --------------------------------------------------------------------------------------- */
#define HTTP_METHODS(X)                                                                            \
	X(HTTP_OTHER, 0, "other")                                                                  \
	X(HTTP_GET, 1, "GET")                                                                      \
	X(HTTP_HEAD, 2, "HEAD")                                                                    \
	X(HTTP_POST, 3, "POST")                                                                    \
	X(HTTP_PUT, 4, "PUT")                                                                      \
	X(HTTP_DELETE, 5, "DELETE")                                                                \
	X(HTTP_CONNECT, 6, "CONNECT")                                                              \
	X(HTTP_OPTIONS, 7, "OPTIONS")                                                              \
	X(HTTP_TRACE, 8, "TRACE")                                                                  \
	X(HTTP_PATCH, 9, "PATCH")

enum http_method {
#define X(symbol, value, label) symbol = value,
	HTTP_METHODS(X)
#undef X
	HTTP_METHOD_COUNT = 10,
};

#define HTTP_READ 1024		/* bytes of a segment that are looked at, from its beginning */

enum http_event_flags {
	HTTP_PATH_CUT = 1 << 0,		/* there is, or may be, more of the target than in `path` */
	HTTP_HOST_CUT = 1 << 1,		/* the same of `host` */
};

struct http_event {
	struct l7_head head;
	__u16 status;		/* of responses: 100..999 */
	__u8 method;		/* of requests: enum http_method */
	__u8 minor;		/* HTTP/1.minor; 0 also of a request whose line is cut before it */
	__u8 flags;		/* enum http_event_flags */
	__u8 host_len;		/* bytes of `host` in use */
	__u16 path_len;		/* bytes of `path` in use */
	__u8 path[256];		/* request target, as sent */
	__u8 host[128];		/* value of the Host header if the first segment has it */
};
BONSAI_ASSERT_SIZE(struct http_event, 448);

/* Per-CPU counters of all hooks: requests by method, then responses by class, then the rest. */
enum http_counter {
	HTTP_REQUEST_FIRST = 0,		/* HTTP_REQUEST_FIRST + enum http_method */
	HTTP_CLASS_FIRST = 10,		/* HTTP_CLASS_FIRST + status / 100 - 1, for 100..599 */
	HTTP_MALFORMED = 15,
	HTTP_LOST = 16,			/* events that the ring buffer had no room for */
	HTTP_COUNTERS = 17,
};
