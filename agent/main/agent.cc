// SPDX-License-Identifier: Apache-2.0
// bonsai-agent: reads the command line and runs the agent.
// Exit codes: 0 stopped by a signal or done; 1 could not start; 2 usage.
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>

#include "agent/base/logging.h"
#include "agent/base/status.h"
#include "agent/base/version.h"
#include "agent/control/agent.h"
#include "agent/control/uninstall.h"

namespace {

// The objects beside a build's binaries, else where packages put them.
std::string DefaultBpfDir() {
  std::error_code error;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", error);
  const auto beside = self.parent_path().parent_path() / "bpf";
  return std::filesystem::is_directory(beside, error) ? beside.string() : "/usr/lib/bonsai/bpf";
}

int Fail(const absl::Status& status) {
  std::cerr << "bonsai-agent: " << bonsai::base::Message(status) << "\n";
  return 1;
}

int Uninstall(const bonsai::control::Options& options, bool dry_run) {
  const auto result = bonsai::control::Uninstall(
      {.bpf_root = options.bpf_root, .socket = options.socket, .dry_run = dry_run});
  if (!result.ok()) return Fail(result.status());
  std::cout << bonsai::control::ToText(*result, dry_run);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  bonsai::control::Options options;
  bool uninstall = false, dry_run = false;
  CLI::App app("Bonsai node agent: an eBPF datapath cut to what the configuration can reach");
  app.set_version_flag("--version", std::string("bonsai-agent ") + bonsai::base::kVersion);
  auto* directory = app.add_option("--config-dir", options.config_dir,
                                   "Settings as a ConfigMap mounted by a kubelet: one file a key");
  app.add_option("--config", options.config_file, "Settings as one flat YAML file")
      ->excludes(directory);
  app.add_option("--manifests-dir", options.manifests_dir,
                 "Pods, Services, EndpointSlices, NetworkPolicies and Namespaces in YAML");
  app.add_option("--bpf-dir", options.bpf_dir, "Directory of the *.bpf.o files");
  app.add_option("--bpf-root", options.bpf_root, "Where maps and links are pinned")
      ->capture_default_str();
  app.add_option("--socket", options.socket, "Unix socket of the gRPC API")->capture_default_str();
  app.add_option("--node-name", options.node_name, "Name of this node; default: the host name");
  auto* off = app.add_flag("--uninstall", uninstall, "Take the datapath off this node, then exit");
  app.add_flag("--dry-run", dry_run, "With --uninstall: only say what would be removed")->needs(off);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (uninstall) return Uninstall(options, dry_run);
  if (options.bpf_dir.empty()) options.bpf_dir = DefaultBpfDir();

  const bonsai::base::Logger log = bonsai::base::MakeLogger();
  const absl::Status status = bonsai::control::RunAgent(options, log);
  return status.ok() ? 0 : Fail(status);
}
