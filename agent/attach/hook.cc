// SPDX-License-Identifier: Apache-2.0
#include "agent/attach/hook.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

namespace bonsai::attach {
namespace {

constexpr const char* kNames[HOOK_COUNT] = {"xdp", "from-pod", "to-pod", "from-netdev"};

}  // namespace

std::string HookName(Hook hook) { return kNames[hook]; }

std::string MechanismName(Mechanism how) {
  switch (how) {
    case Mechanism::kTcx:
      return "tcx";
    case Mechanism::kClsact:
      return "clsact";
    case Mechanism::kXdpNative:
      return "xdp-native";
    case Mechanism::kXdpGeneric:
      return "xdp-generic";
  }
  return "unknown";
}

kernel::Direction DirectionOf(Hook hook) {
  return hook == HOOK_TO_POD ? kernel::Direction::kEgress : kernel::Direction::kIngress;
}

std::string HookPin(Hook hook) {
  std::string pin = HookName(hook);
  std::replace(pin.begin(), pin.end(), '-', '_');
  return pin;
}

std::optional<Hook> HookOfPin(const std::string& pin) {
  for (int hook = 0; hook < HOOK_COUNT; ++hook) {
    if (HookPin(static_cast<Hook>(hook)) == pin) return static_cast<Hook>(hook);
  }
  return std::nullopt;
}

std::string NumberedPin(Hook hook, uint32_t number) {
  return fmt::format("{}-{}", HookPin(hook), number);
}

std::optional<HookNumber> ParseNumberedPin(const std::string& pin) {
  size_t dash = pin.rfind('-');
  if (dash == std::string::npos) return std::nullopt;
  std::optional<Hook> hook = HookOfPin(pin.substr(0, dash));
  uint32_t number = 0;
  const char* end = pin.data() + pin.size();
  auto parsed = std::from_chars(pin.data() + dash + 1, end, number);
  if (!hook || parsed.ec != std::errc() || parsed.ptr != end) return std::nullopt;
  return HookNumber{*hook, number};
}

std::string Describe(const Target& target) {
  return fmt::format("{} of {} (ifindex {})", HookName(target.hook), target.ifname,
                     target.ifindex);
}

}  // namespace bonsai::attach
