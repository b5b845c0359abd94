// SPDX-License-Identifier: Apache-2.0
// What is deployed knows exactly the settings that the objects and the agent declare. With
// BONSAI_UPDATE=1 the chart's schema is rewritten from them.
#include <gtest/gtest.h>
#include <yaml-cpp/yaml.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "agent/base/status.h"
#include "agent/object/object_spec.h"

namespace bonsai {
namespace {

using Json = nlohmann::ordered_json;
using settings::Kind;

constexpr char kConfigMap[] = BONSAI_SOURCE_DIR "/deploy/kubernetes/configmap.yaml";
constexpr char kChartSchema[] = BONSAI_SOURCE_DIR "/charts/bonsai/values.schema.json";
// Deployed on every address, so that a scraper reaches it; the agent's default is loopback.
constexpr char kNotTheDefault[] = "metrics-address";

settings::Schema Declared() {
  std::vector<object::ObjectSpec> objects;
  for (const auto& entry : std::filesystem::directory_iterator(BONSAI_BPF_DIR)) {
    if (!entry.path().string().ends_with(".bpf.o")) continue;
    auto object = object::Read(entry.path());
    EXPECT_TRUE(object.ok()) << object.status();
    if (object.ok()) objects.push_back(*std::move(object));
  }
  auto specs = object::SettingSpecs(objects);
  EXPECT_TRUE(specs.ok()) << specs.status();
  for (const auto& spec : settings::AgentSettings()) specs->push_back(spec);
  auto schema = settings::Schema::Make(*specs);
  EXPECT_TRUE(schema.ok()) << schema.status();
  return *schema;
}

settings::RawSettings Deployed() {
  settings::RawSettings raw;
  for (const auto& item : YAML::LoadFile(kConfigMap)["data"]) {
    raw[item.first.as<std::string>()] = item.second.as<std::string>();
  }
  return raw;
}

Json Property(const settings::SettingSpec& spec) {
  Json property = {{"description", spec.doc}};
  switch (spec.kind) {
    case Kind::kBool: property["type"] = "boolean"; break;
    case Kind::kUint:
    case Kind::kInt:
      property["type"] = "integer";
      property["minimum"] = spec.min;
      property["maximum"] = spec.max;
      break;
    case Kind::kList:
      property["type"] = "array";
      property["items"] = {{"type", "string"}};
      break;
    case Kind::kString:
      property["type"] = "string";
      if (!spec.choices.empty()) property["enum"] = spec.choices;
      // Probes need the port.
      if (spec.element == "host-port") property["pattern"] = ":[0-9]+$";
      break;
  }
  return property;
}

TEST(DeployedSettings, ConfigMapNamesEachSettingWithItsDefault) {
  const settings::Schema declared = Declared();
  const settings::RawSettings deployed = Deployed();
  auto parsed = settings::Parse(declared, deployed);
  ASSERT_TRUE(parsed.ok()) << base::Message(parsed.status());
  for (const auto& [key, spec] : declared.specs()) {
    EXPECT_TRUE(deployed.contains(key)) << kConfigMap << ": " << key << " is missing";
    if (key == kNotTheDefault) continue;
    EXPECT_EQ(settings::Format(parsed->values().at(key)), settings::Format(spec.default_value)) << key;
  }
}

TEST(DeployedSettings, ChartSchemaIsThatOfTheAgent) {
  Json schema = Json::parse(std::ifstream(kChartSchema));
  Json& properties = schema["properties"]["config"]["properties"];
  Json wanted = Json::object();
  const settings::Schema declared = Declared();
  for (const auto& [key, spec] : declared.specs()) wanted[key] = Property(spec);
  if (std::getenv("BONSAI_UPDATE") != nullptr) {
    properties = wanted;
    std::ofstream(kChartSchema) << schema.dump(2) << "\n";
  }
  for (const auto& [key, property] : wanted.items()) {
    ASSERT_TRUE(properties.contains(key)) << key << " is missing: run this test with BONSAI_UPDATE=1";
    EXPECT_EQ(nlohmann::json(properties[key]), nlohmann::json(property)) << key;
  }
  EXPECT_EQ(properties.size(), wanted.size()) << "the chart knows a setting that no one declares";
}

}  // namespace
}  // namespace bonsai
