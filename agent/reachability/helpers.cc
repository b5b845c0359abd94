// SPDX-License-Identifier: Apache-2.0
#include "agent/reachability/helpers.h"

#include <linux/bpf.h>

namespace bonsai::reachability {
namespace {

// SOUND: per its contract in linux/bpf.h, each of these only reads the memory its arguments point to.
bool ReadsOnly(int32_t helper) {
  switch (helper) {
    case BPF_FUNC_map_lookup_elem: case BPF_FUNC_map_update_elem: case BPF_FUNC_map_delete_elem:
    case BPF_FUNC_map_push_elem: case BPF_FUNC_map_lookup_percpu_elem:
    case BPF_FUNC_ktime_get_ns: case BPF_FUNC_ktime_get_boot_ns:
    case BPF_FUNC_ktime_get_coarse_ns: case BPF_FUNC_ktime_get_tai_ns: case BPF_FUNC_jiffies64:
    case BPF_FUNC_get_prandom_u32: case BPF_FUNC_get_smp_processor_id:
    case BPF_FUNC_get_numa_node_id: case BPF_FUNC_trace_printk: case BPF_FUNC_trace_vprintk:
    case BPF_FUNC_skb_store_bytes: case BPF_FUNC_xdp_store_bytes: case BPF_FUNC_l3_csum_replace:
    case BPF_FUNC_l4_csum_replace: case BPF_FUNC_csum_diff: case BPF_FUNC_csum_update:
    case BPF_FUNC_csum_level: case BPF_FUNC_tail_call: case BPF_FUNC_clone_redirect:
    case BPF_FUNC_redirect: case BPF_FUNC_redirect_map: case BPF_FUNC_redirect_peer:
    case BPF_FUNC_redirect_neigh: case BPF_FUNC_get_current_pid_tgid:
    case BPF_FUNC_get_current_uid_gid: case BPF_FUNC_get_current_cgroup_id:
    case BPF_FUNC_get_current_task: case BPF_FUNC_get_cgroup_classid:
    case BPF_FUNC_skb_vlan_push: case BPF_FUNC_skb_vlan_pop: case BPF_FUNC_skb_set_tunnel_key:
    case BPF_FUNC_skb_set_tunnel_opt: case BPF_FUNC_skb_change_proto:
    case BPF_FUNC_skb_change_type: case BPF_FUNC_skb_change_head: case BPF_FUNC_skb_change_tail:
    case BPF_FUNC_skb_adjust_room: case BPF_FUNC_skb_pull_data: case BPF_FUNC_skb_ecn_set_ce:
    case BPF_FUNC_skb_under_cgroup: case BPF_FUNC_skb_cgroup_id:
    case BPF_FUNC_skb_ancestor_cgroup_id: case BPF_FUNC_get_hash_recalc:
    case BPF_FUNC_set_hash_invalid: case BPF_FUNC_set_hash: case BPF_FUNC_get_route_realm:
    case BPF_FUNC_perf_event_output: case BPF_FUNC_ringbuf_output:
    case BPF_FUNC_ringbuf_reserve: case BPF_FUNC_ringbuf_submit: case BPF_FUNC_ringbuf_discard:
    case BPF_FUNC_ringbuf_query: case BPF_FUNC_get_stackid: case BPF_FUNC_xdp_adjust_head:
    case BPF_FUNC_xdp_adjust_tail: case BPF_FUNC_xdp_adjust_meta: case BPF_FUNC_xdp_get_buff_len:
    case BPF_FUNC_sk_lookup_tcp: case BPF_FUNC_sk_lookup_udp: case BPF_FUNC_skc_lookup_tcp:
    case BPF_FUNC_sk_release: case BPF_FUNC_sk_assign: case BPF_FUNC_sk_fullsock:
    case BPF_FUNC_get_socket_cookie: case BPF_FUNC_get_socket_uid: case BPF_FUNC_get_netns_cookie:
    case BPF_FUNC_tcp_gen_syncookie: case BPF_FUNC_tcp_check_syncookie:
    case BPF_FUNC_spin_lock: case BPF_FUNC_spin_unlock: case BPF_FUNC_get_local_storage:
      return true;
    default:
      return false;
  }
}

// The argument that says how many bytes go to `argument`, or 0.
int SizeArgument(int32_t helper, int argument) {
  switch (helper) {
    case BPF_FUNC_skb_load_bytes: case BPF_FUNC_skb_load_bytes_relative:
    case BPF_FUNC_xdp_load_bytes:
      return argument == 3 ? 4 : 0;
    case BPF_FUNC_probe_read: case BPF_FUNC_probe_read_user: case BPF_FUNC_probe_read_kernel:
    case BPF_FUNC_probe_read_str: case BPF_FUNC_probe_read_user_str:
    case BPF_FUNC_probe_read_kernel_str: case BPF_FUNC_get_current_comm:
      return argument == 1 ? 2 : 0;
    case BPF_FUNC_fib_lookup: case BPF_FUNC_skb_get_tunnel_key: case BPF_FUNC_get_stack:
    case BPF_FUNC_skb_get_tunnel_opt:
      return argument == 2 ? 3 : 0;
    default:
      return 0;
  }
}

// What helpers with an output argument of one type write there, in bytes, or 0.
int SizeOfResult(int32_t helper, int argument) {
  switch (helper) {
    case BPF_FUNC_dynptr_from_mem: case BPF_FUNC_ringbuf_reserve_dynptr:
      return argument == 4 ? 16 : 0;
    case BPF_FUNC_ringbuf_submit_dynptr: case BPF_FUNC_ringbuf_discard_dynptr:
      return argument == 1 ? 16 : 0;
    case BPF_FUNC_strtol: case BPF_FUNC_strtoul:
      return argument == 4 ? 8 : 0;
    case BPF_FUNC_check_mtu:
      return argument == 3 ? 4 : 0;
    default:
      return 0;
  }
}

}  // namespace

int CallbackArgument(int32_t helper) {
  switch (helper) {
    case BPF_FUNC_for_each_map_elem: case BPF_FUNC_timer_set_callback: case BPF_FUNC_loop:
    case BPF_FUNC_user_ringbuf_drain:
      return 2;
    case BPF_FUNC_find_vma:
      return 3;
    default:
      return 0;
  }
}

// Helpers have been a closed list since kernel 6.3: what is new is a kfunc.
bool IsKnownHelper(int32_t helper) { return helper > 0 && helper <= BPF_FUNC_cgrp_storage_delete; }

HelperWrites WritesOf(int32_t helper, int argument) {
  if (ReadsOnly(helper)) return {.writes = false};
  const bool pops = helper == BPF_FUNC_map_pop_elem || helper == BPF_FUNC_map_peek_elem;
  return {.size_argument = SizeArgument(helper, argument), .size = SizeOfResult(helper, argument),
          .map_value = pops && argument == 2};
}

}  // namespace bonsai::reachability
