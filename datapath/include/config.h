/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * THE list of load-time constants. Each is declared once, here; the agent, agentctl, the chart's
 * schema and the reference page read name, type, default and the tags below from the objects' BTF.
 * Adding one touches no agent code.
 *
 * A constant lands in .rodata.config of every object that reads it. The agent writes its value
 * before loading and the map is frozen, so that the verifier knows it as a number.
 *
 * Tags (BTF decl tags on the variable):
 *   config:setting          from the configuration; the key is the name in kebab-case
 *   config:node             what the agent fills in: a fact of the node, or a step that it takes
 *   feature:NAME            the feature it belongs to
 *   range:MIN..MAX          inclusive; a bool has none
 *   requires:KEY            refused unless the bool setting KEY is on as well (only if this one is on)
 *   doc:TEXT                one line
 *
 * A feature's toggle is the bool `enable_*` that carries the feature's name in its tag.
 */
#pragma once

#include "section.h"

#define CONFIG_VAR(type, name, value, ...)                                                         \
	static const volatile type name __attribute__((section(".rodata.config"), unused,          \
						       __VA_ARGS__)) = (value)
#define CONFIG_TAG(text) btf_decl_tag(text)

#define CONFIG_TOGGLE(name, value, feature, doc, ...)                                              \
	CONFIG_VAR(bool, name, value, CONFIG_TAG("config:setting"),                                \
		   CONFIG_TAG("feature:" feature), CONFIG_TAG("doc:" doc), ##__VA_ARGS__)
#define CONFIG_NUMBER(type, name, value, feature, range, doc, ...)                                 \
	CONFIG_VAR(type, name, value, CONFIG_TAG("config:setting"),                                \
		   CONFIG_TAG("feature:" feature), CONFIG_TAG("range:" range),                     \
		   CONFIG_TAG("doc:" doc), ##__VA_ARGS__)
#define CONFIG_NODE(type, name, value, doc)                                                        \
	CONFIG_VAR(type, name, value, CONFIG_TAG("config:node"), CONFIG_TAG("feature:node"),       \
		   CONFIG_TAG("doc:" doc))
#define REQUIRES(key) CONFIG_TAG("requires:" key)

/* ---- address families ---- */
CONFIG_TOGGLE(enable_ipv4, true, "ipv4", "Handle IPv4 packets.");
CONFIG_TOGGLE(enable_ipv6, true, "ipv6", "Handle IPv6 packets.");

/* ---- prefilter ---- */
CONFIG_TOGGLE(enable_prefilter, false, "prefilter",
	      "Drop packets from denied CIDRs at XDP, before the network stack.");

/* ---- conntrack ---- */
CONFIG_TOGGLE(enable_conntrack, true, "conntrack",
	      "Track connections of pods, so that established traffic needs one look-up.");
CONFIG_NUMBER(__u32, ct_tcp_timeout, 8000, "conntrack", "10..604800",
	      "Seconds an idle established TCP connection is kept.");
CONFIG_NUMBER(__u32, ct_tcp_syn_timeout, 60, "conntrack", "1..3600",
	      "Seconds a TCP connection is kept before its handshake is over.");
CONFIG_NUMBER(__u32, ct_tcp_close_timeout, 10, "conntrack", "1..3600",
	      "Seconds a TCP connection is kept after both FINs or a RST.");
CONFIG_NUMBER(__u32, ct_any_timeout, 60, "conntrack", "1..86400",
	      "Seconds an idle UDP, ICMP or other flow is kept.");

/* ---- policy ---- */
CONFIG_TOGGLE(enable_policy, false, "policy", "Enforce network policies at the pods.",
	      REQUIRES("enable-conntrack"));
CONFIG_TOGGLE(policy_default_deny, false, "policy",
	      "Deny what no policy allows, even for pods that no policy selects.",
	      REQUIRES("enable-policy"));
CONFIG_TOGGLE(policy_audit_mode, false, "policy",
	      "Let denied traffic pass and report it as audited.", REQUIRES("enable-policy"));

/* ---- load balancer ---- */
CONFIG_TOGGLE(enable_load_balancer, false, "load-balancer",
	      "Translate service addresses to backends as packets leave a pod.",
	      REQUIRES("enable-conntrack"));

/* ---- flow events ---- */
CONFIG_TOGGLE(enable_flow_events, false, "flow-events",
	      "Report new, dropped, audited and closed flows to the agent.");
CONFIG_NUMBER(__u32, flow_sampling, 1, "flow-events", "1..1000000",
	      "Report one in this many events; drops are always reported.");
CONFIG_NUMBER(__u8, flow_aggregation, 1, "flow-events", "0..1",
	      "0: an event for every packet; 1: only for new, dropped, audited and closed flows.");

/* ---- datapath metrics ---- */
CONFIG_TOGGLE(enable_datapath_metrics, true, "datapath-metrics",
	      "Count packets and bytes by hook and reason.");

/* ---- life ---- */
CONFIG_TOGGLE(enable_game_of_life, false, "life",
	      "Run Conway's Game of Life in the kernel; agentctl life draws it.");
CONFIG_NUMBER(__u32, life_width, 128, "life", "1..2048",
	      "Cells in a row of the board. Another width begins a new board.");
CONFIG_NUMBER(__u32, life_height, 128, "life", "1..2048",
	      "Rows of the board. Another height begins a new board.");
CONFIG_NUMBER(__u32, life_cpu_percent, 10, "life", "1..100",
	      "The most of one CPU that the board may take; generations wait to stay below it.");

/* ---- DNS visibility ---- */
CONFIG_TOGGLE(enable_dns_visibility, false, "dns-visibility",
	      "Parse DNS queries and responses of pods, report them and count response codes.");

/* ---- HTTP visibility ---- */
CONFIG_TOGGLE(enable_http_visibility, false, "http-visibility",
	      "Parse plain HTTP/1 requests and responses of pods, report and count them.");

/* ---- facts of the node ---- */
CONFIG_NODE(__u32, kernel_hz, 250, "Ticks of jiffies a second.");
CONFIG_NODE(bool, kernel_has_loop, true, "The kernel has the helper bpf_loop (Linux 5.17).");

/* ---- what the agent is about ---- */
CONFIG_NODE(bool, ct_moving, false,
	    "Conntrack moves to tables of another size: entries are fetched from the earlier ones.");
