// SPDX-License-Identifier: Apache-2.0
// Where the datapath's entry programs go, and what these places are called.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "agent/kernel/links.h"
#include "datapath/include/contract.h"

namespace bonsai::attach {

using Hook = bonsai_hook;

// A device to have a program, in the network namespace of the agent.
struct Target {
  std::string ifname;
  uint32_t ifindex = 0;
  Hook hook = HOOK_XDP;
};

enum class Mechanism { kTcx, kClsact, kXdpNative, kXdpGeneric };

std::string HookName(Hook hook);            // "xdp", "from-pod", "to-pod", "from-netdev"
std::string MechanismName(Mechanism how);   // "tcx", "clsact", "xdp-native", "xdp-generic"

// Side of the device; meaningless for HOOK_XDP.
kernel::Direction DirectionOf(Hook hook);

// Name of a hook's pins, "from_pod", and back.
std::string HookPin(Hook hook);
std::optional<Hook> HookOfPin(const std::string& pin);

// "from_pod-12", for a hook and a number (interface index or program id), and back.
std::string NumberedPin(Hook hook, uint32_t number);
struct HookNumber {
  Hook hook;
  uint32_t number;
};
std::optional<HookNumber> ParseNumberedPin(const std::string& pin);

// "from-pod of eth0 (ifindex 2)"
std::string Describe(const Target& target);

}  // namespace bonsai::attach
