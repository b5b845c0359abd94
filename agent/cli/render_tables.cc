// SPDX-License-Identifier: Apache-2.0
#include <fmt/format.h>

#include <algorithm>

#include "agent/cli/render.h"
#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

constexpr auto kRight = Table::Align::kRight;
constexpr int kDevicesShown = 3;

std::string StateWord(v1::LoadState state) {
  return state == v1::LOAD_STATE_LOADED ? "loaded" : "pruned";
}

Colour StateColour(v1::LoadState state) {
  return state == v1::LOAD_STATE_LOADED ? Colour::kNone : Colour::kDim;
}

template <typename List>
std::string Join(const List& parts, const std::string& separator) {
  std::string text;
  for (const auto& part : parts) text += (text.empty() ? "" : separator) + std::string(part);
  return text;
}

// Numbers of what does not exist in the kernel are not shown as zero.
std::string CountOf(bool exists, uint64_t number) { return exists ? Count(number) : "-"; }

std::string Places(const v1::Program& program) {
  if (program.tail_call()) return fmt::format("{}/{}", program.tail_map(), program.tail_slot());
  std::string text;
  const int shown = std::min(program.attachments_size(), kDevicesShown);
  for (int i = 0; i < shown; ++i) {
    text += (i ? "," : "") + program.attachments(i).device();
  }
  if (program.attachments_size() > shown) {
    text += fmt::format(" and {} more", program.attachments_size() - shown);
  }
  return text;
}

}  // namespace

std::string Render(const v1::GetVersionResponse& version, Style) {
  return Printable(fmt::format("agent {} on {}, kernel {}", version.version(), version.node(),
                               version.kernel())) + "\n";
}

std::string Render(const v1::ListFeaturesResponse& features, Style style) {
  Table table(style, {{"FEATURE"}, {"STATE"}, {"MEMORY", kRight}, {"SAVED", kRight},
                      {"COST", kRight}, {"MAPS", kRight}, {"PROGRAMS", kRight}, {"INSNS", kRight},
                      {"TOGETHER WITH"}, {"SETTING"}, {"DESCRIPTION"}});
  for (const v1::Feature& feature : features.features()) {
    const char* state = feature.degraded() ? "degraded" : feature.on() ? "on" : "off";
    const Colour colour = feature.degraded() ? Colour::kYellow
                          : feature.on()     ? Colour::kNone
                                             : Colour::kDim;
    const v1::FeatureCost& cost = feature.cost();
    const auto known = [&](std::string text) { return feature.has_cost() ? text : "-"; };
    table.Add({feature.name(), state, Bytes(feature.loaded_bytes()), Bytes(feature.saved_bytes()),
               known(SignedBytes(cost.bytes())), known(SignedCount(cost.maps())),
               known(SignedCount(cost.programs())), known(SignedCount(cost.instructions())),
               cost.with().empty() ? "-" : Join(cost.with(), " "), feature.setting(),
               feature.doc()}, colour);
  }
  return table.Text();
}

std::string Render(const v1::ListMapsResponse& maps, Style style) {
  Table table(style, {{"MAP"}, {"STATE"}, {"FEATURE"}, {"TYPE"}, {"ENTRIES", kRight},
                      {"PEAK", kRight}, {"ROOM", kRight}, {"MEMORY", kRight}, {"REASON"}});
  for (const v1::Map& map : maps.maps()) {
    table.Add({map.name(), StateWord(map.state()), map.feature(), map.type(),
               CountOf(map.entries_known(), map.entries()),
               CountOf(map.entries_known(), map.peak_entries()), Count(map.max_entries()),
               Bytes(map.bytes()), map.reason()}, StateColour(map.state()));
  }
  return table.Text();
}

std::string Render(const v1::ListProgramsResponse& programs, Style style) {
  Table table(style, {{"OBJECT"}, {"PROGRAM"}, {"STATE"}, {"WHERE"}, {"LIVE", kRight},
                      {"OF", kRight}, {"VERIFIED", kRight}, {"JITED", kRight}, {"REASON"}});
  for (const v1::Program& program : programs.programs()) {
    const bool loaded = program.state() == v1::LOAD_STATE_LOADED;
    table.Add({program.object(), program.name(), StateWord(program.state()), Places(program),
               Count(program.live_instructions()), Count(program.instructions()),
               CountOf(loaded, program.verified_instructions()),
               loaded ? Bytes(program.jited_bytes()) : "-", program.reason()},
              StateColour(program.state()));
  }
  return table.Text();
}

std::string Render(const v1::ListConstantsResponse& constants, Style style) {
  Table table(style, {{"OBJECT"}, {"CONSTANT"}, {"VALUE", kRight}, {"ORIGIN"}, {"DEFAULT"},
                      {"FEATURE"}});
  for (const v1::Constant& constant : constants.constants()) {
    table.Add({constant.object(), constant.name(), constant.value(), constant.origin(),
               constant.is_default() ? "yes" : "no", constant.feature()});
  }
  return table.Text();
}

std::string Render(const v1::GetConfigResponse& config, Style style) {
  Table table(style, {{"KEY"}, {"VALUE"}, {"SET"}, {"FEATURE"}, {"ALLOWED"}, {"DESCRIPTION"}});
  for (const v1::Setting& setting : config.settings()) {
    table.Add({setting.key(), setting.value(), setting.is_given() ? "yes" : "default",
               setting.feature(), setting.allowed(), setting.doc()});
  }
  return table.Text();
}

std::string Render(const v1::ListEndpointsResponse& endpoints, Style style) {
  Table table(style, {{"POD"}, {"ID", kRight}, {"IDENTITY", kRight}, {"DEVICE"}, {"POLICY"},
                      {"ADDRESSES"}});
  for (const v1::Endpoint& endpoint : endpoints.endpoints()) {
    std::vector<std::string> enforced;
    if (endpoint.enforce_ingress()) enforced.push_back("ingress");
    if (endpoint.enforce_egress()) enforced.push_back("egress");
    table.Add({endpoint.pod(), std::to_string(endpoint.endpoint_id()),
               std::to_string(endpoint.identity()), endpoint.device(), Join(enforced, ","),
               Join(endpoint.addresses(), " ")},
              endpoint.device().empty() ? Colour::kYellow : Colour::kNone);
  }
  return table.Text();
}

std::string Render(const v1::ListServicesResponse& services, Style style) {
  Table table(style, {{"SERVICE"}, {"ADDRESS"}, {"PROTOCOL"}, {"BACKENDS"}});
  for (const v1::Service& service : services.services()) {
    std::vector<std::string> backends;
    for (const v1::Backend& backend : service.backends()) {
      backends.push_back(HostPort(backend.address(), backend.port()));
    }
    table.Add({service.service(), HostPort(service.address(), service.port()), service.protocol(),
               backends.empty() ? "none" : Join(backends, " ")},
              backends.empty() ? Colour::kYellow : Colour::kNone);
  }
  return table.Text();
}

std::string Render(const v1::ListPoliciesResponse& policies, Style style) {
  Table table(style, {{"RULE", kRight}, {"POLICY"}, {"DIRECTION"}, {"ENTRIES", kRight},
                      {"ALLOWS"}});
  for (const v1::PolicyRule& rule : policies.rules()) {
    table.Add({std::to_string(rule.id()), rule.policy(), rule.direction(), Count(rule.entries()),
               rule.description()});
  }
  return table.Text();
}

}  // namespace bonsai::cli
