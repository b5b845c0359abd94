// SPDX-License-Identifier: Apache-2.0
// What the command line of bonsai-agent says. Everything else is a setting.
#pragma once

#include <string>

namespace bonsai::control {

struct Options {
  std::string config_dir;     // a ConfigMap as a kubelet projects it; or
  std::string config_file;    // a flat YAML file; neither: defaults
  std::string manifests_dir;  // Kubernetes objects in YAML; "": no desired state
  std::string bpf_dir;        // directory of *.bpf.o
  std::string bpf_root = "/sys/fs/bpf/bonsai";       // pins
  std::string socket = "/run/bonsai/agent.sock";     // gRPC
  std::string node_name;      // "": the host name
};

}  // namespace bonsai::control
