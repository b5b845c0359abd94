// SPDX-License-Identifier: Apache-2.0
#include "tests/support/cluster.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/traffic.h"

namespace bonsai::testing {
namespace fs = std::filesystem;
namespace {

std::string PodYaml(const std::string& name, const std::string& v4, const std::string& v6) {
  return "apiVersion: v1\nkind: Pod\nmetadata:\n  name: " + name +
         "\n  namespace: demo\n  labels: {app: " + name +
         "}\nspec:\n  nodeName: node-a\n  containers:\n  - name: main\n    ports:\n"
         "    - {name: echo, containerPort: 8080}\n"
         "status:\n  phase: Running\n  podIP: " +
         v4 + "\n  podIPs: [{ip: " + v4 + "}, {ip: \"" + v6 + "\"}]\n";
}

std::string SliceYaml(const std::string& name, const std::string& family,
                      const std::vector<std::string>& addresses) {
  std::string yaml =
      "apiVersion: discovery.k8s.io/v1\nkind: EndpointSlice\nmetadata:\n  name: " + name +
      "\n  namespace: demo\n  labels: {kubernetes.io/service-name: echo}\naddressType: " + family +
      "\nports:\n- {name: tcp, port: 8080, protocol: TCP}\n- {name: udp, port: 8080, protocol: UDP}\n"
      "endpoints:" + (addresses.empty() ? " []\n" : "\n");
  for (const auto& address : addresses) {
    yaml += "- addresses: [\"" + address + "\"]\n  conditions: {ready: true}\n";
  }
  return yaml;
}

nlohmann::json Bpftool(const std::string& arguments) {
  return nlohmann::json::parse(Shell("bpftool -j " + arguments).output, nullptr, false);
}

}  // namespace

bool WaitForFunction(bool (*call)(void*), void* context, int timeout_seconds) {
  auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  while (true) {
    if (call(context)) return true;
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
}

Cluster::Cluster() : node("node"), pod_a("pod-a"), pod_b("pod-b"), pod_c("pod-c"), client("client") {
  std::string pattern = "/tmp/bonsai-test-XXXXXX";
  directory_ = mkdtemp(pattern.data());
  bpf_root_ = "/sys/fs/bpf/bonsai-test-" + std::to_string(getpid());
  fs::create_directories(directory_ / "manifests");
  fs::create_directories(directory_ / "config");
  node.MustExec("sysctl -qw net.ipv4.ip_forward=1 net.ipv6.conf.all.forwarding=1 "
                "net.ipv6.conf.default.accept_dad=0");
  Wire(pod_a, "veth-a", kPodA4, kPodA6);
  Wire(pod_b, "veth-b", kPodB4, kPodB6);
  Wire(pod_c, "veth-c", kPodC4, kPodC6);
  node.MustExec("ip link add uplink type veth peer name eth0 netns " + client.name() +
                " && ip addr add 192.0.2.1/24 dev uplink && ip -6 addr add fd30::1/64 dev uplink "
                "nodad && ip link set uplink up");
  client.MustExec("ip addr add 192.0.2.2/24 dev eth0 && ip -6 addr add fd30::2/64 dev eth0 nodad "
                  "&& ip link set eth0 up && ip route add default via 192.0.2.1 "
                  "&& ip -6 route add default via fd30::1");
  node.MustExec("ip route add default via 192.0.2.2 && ip -6 route add default via fd30::2");
  WriteManifest("base.yaml",
                "apiVersion: v1\nkind: Namespace\nmetadata: {name: demo, labels: {team: demo}}\n---\n" +
                    PodYaml("a", kPodA4, kPodA6) + "---\n" + PodYaml("b", kPodB4, kPodB6) +
                    "---\n" + PodYaml("c", kPodC4, kPodC6));
}

Cluster::~Cluster() {
  if (agent_ > 0) StopAgent(SIGKILL);
  if (!may_retry && AgentLog().find("reachability-retry") != std::string::npos) {
    ADD_FAILURE() << "the verifier walked into what was cut";
  }
  if (::testing::Test::HasFailure()) {
    std::fprintf(stderr, "--- agent log\n%s---\n", AgentLog().c_str());
  }
  Shell(node.Wrap(std::string(BONSAI_BIN_DIR "/bonsai-agent --uninstall --socket ") + socket() +
                  " --bpf-root " + bpf_root_));
  std::error_code ignored;
  fs::remove_all(bpf_root_, ignored);
  fs::remove_all(directory_, ignored);
}

void Cluster::Wire(const Netns& pod, const std::string& device, const std::string& v4,
                   const std::string& v6) {
  node.MustExec("ip link add " + device + " type veth peer name eth0 netns " + pod.name() +
                " && ip addr add 10.20.0.1/32 dev " + device + " && ip -6 addr add fd20::1/128 dev " +
                device + " nodad && ip link set " + device + " up");
  pod.MustExec("ip addr add " + v4 + "/32 dev eth0 && ip -6 addr add " + v6 +
               "/128 dev eth0 nodad && ip link set eth0 up && ip route add 10.20.0.1 dev eth0 "
               "&& ip route add default via 10.20.0.1 && ip -6 route add fd20::1 dev eth0 "
               "&& ip -6 route add default via fd20::1");
  node.MustExec("ip route add " + v4 + "/32 dev " + device + " && ip -6 route add " + v6 +
                "/128 dev " + device);
}

void Cluster::SetConfig(const ConfigMap& config) {
  config_ = config;
  fs::path root = directory_ / "config";
  std::string version = "..2026_11_21_" + std::to_string(++swaps_);
  fs::create_directory(root / version);
  for (const auto& [key, value] : config_) std::ofstream(root / version / key) << value;
  fs::path old = fs::exists(root / "..data") ? fs::read_symlink(root / "..data") : fs::path();
  fs::create_symlink(version, root / "..data_tmp");
  fs::rename(root / "..data_tmp", root / "..data");
  if (on_swap) on_swap();
  for (const auto& [key, value] : config_) {
    if (!fs::is_symlink(root / key)) fs::create_symlink("..data/" + key, root / key);
  }
  for (const auto& entry : fs::directory_iterator(root)) {
    std::string name = entry.path().filename();
    if (!name.starts_with("..") && !config_.contains(name)) fs::remove(entry.path());
  }
  if (!old.empty()) fs::remove_all(root / old);
}

void Cluster::ChangeConfig(const ConfigMap& changes) {
  ConfigMap next = config_;
  for (const auto& [key, value] : changes) next[key] = value;
  SetConfig(next);
}

void Cluster::WriteManifest(const std::string& file, const std::string& yaml) {
  fs::path hidden = directory_ / "manifests" / ("." + file);
  std::ofstream(hidden) << yaml;
  fs::rename(hidden, directory_ / "manifests" / file);
}

void Cluster::RemoveManifest(const std::string& file) {
  fs::remove(directory_ / "manifests" / file);
}

void Cluster::WriteService(const std::vector<std::string>& backends4,
                           const std::vector<std::string>& backends6) {
  WriteManifest("service.yaml",
                std::string("apiVersion: v1\nkind: Service\nmetadata: {name: echo, namespace: demo}\n"
                            "spec:\n  clusterIP: ") +
                    kService4 + "\n  clusterIPs: [" + kService4 + ", \"" + kService6 +
                    "\"]\n  ports:\n  - {name: tcp, port: 80, protocol: TCP}\n"
                    "  - {name: udp, port: 80, protocol: UDP}\n---\n" +
                    SliceYaml("echo-v4", "IPv4", backends4) + "---\n" + SliceYaml("echo-v6", "IPv6", backends6));
}

std::vector<std::string> Cluster::AgentCommand(const std::vector<std::string>& extra_flags) const {
  std::vector<std::string> command = {BONSAI_BIN_DIR "/bonsai-agent",
                                      "--config-dir", directory_ / "config",
                                      "--manifests-dir", directory_ / "manifests",
                                      "--bpf-root", bpf_root_,
                                      "--socket", socket(),
                                      "--node-name", "node-a"};
  command.insert(command.end(), extra_flags.begin(), extra_flags.end());
  return command;
}

void Cluster::StartAgent(const std::vector<std::string>& extra_flags,
                         const std::vector<std::string>& wrapper) {
  SpawnAgent(extra_flags, wrapper);
  bool reachable = WaitFor([&] { return !AgentRuns() || Ctl("version").is_object(); }, 20);
  if (!reachable || !AgentRuns()) ADD_FAILURE() << "agent did not start:\n" << AgentLog();
}

void Cluster::SpawnAgent(const std::vector<std::string>& extra_flags,
                         const std::vector<std::string>& wrapper) {
  std::vector<std::string> command = wrapper;
  for (const std::string& word : AgentCommand(extra_flags)) command.push_back(word);
  std::vector<char*> argv;
  for (auto& word : command) argv.push_back(word.data());
  argv.push_back(nullptr);
  base::UniqueFd log(open((directory_ / "agent.log").c_str(),
                          O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600));
  base::UniqueFd ns(open(node.path().c_str(), O_RDONLY | O_CLOEXEC));
  agent_ = fork();
  if (agent_ == 0) {
    dup2(log.get(), STDOUT_FILENO);
    dup2(log.get(), STDERR_FILENO);
    if (setns(ns.get(), CLONE_NEWNET) == 0 && (!in_child || in_child())) {
      execvp(argv[0], argv.data());
    }
    _exit(127);
  }
}

int Cluster::StopAgent(int signal) {
  int status = 0;
  kill(agent_, signal);
  for (int i = 0; i < 200; ++i) {
    if (waitpid(agent_, &status, WNOHANG) == agent_) {
      agent_ = -1;
      return status;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  }
  ADD_FAILURE() << "agent did not stop within 10 s of signal " << signal;
  kill(agent_, SIGKILL);
  waitpid(agent_, &status, 0);
  agent_ = -1;
  return status;
}

bool Cluster::AgentRuns() const {
  siginfo_t info{};
  return agent_ > 0 && waitid(P_PID, agent_, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
         info.si_pid == 0;
}

CommandResult Cluster::RawCtl(const std::string& arguments) const {
  return Shell(std::string(BONSAI_BIN_DIR "/agentctl --socket ") + socket() + " " + arguments);
}

nlohmann::json Cluster::Ctl(const std::string& arguments) const {
  CommandResult result = Shell(std::string(BONSAI_BIN_DIR "/agentctl --socket ") + socket() + " " +
                             arguments + " -o json 2>/dev/null");
  auto parsed = nlohmann::json::parse(result.output, nullptr, false);
  return parsed.is_discarded() ? nlohmann::json() : parsed;
}

std::string Cluster::AgentLog() const {
  std::ifstream file(directory_ / "agent.log");
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

std::optional<double> Cluster::Metric(const std::string& name) const {
  const std::string text = Fetch(node, 9962, "/metrics");
  const size_t at = text.find("\n" + name + " ");
  if (at == std::string::npos) return std::nullopt;
  return std::strtod(text.c_str() + at + name.size() + 2, nullptr);
}

bool Cluster::WaitGeneration(uint64_t generation, int timeout_seconds) const {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(timeout_seconds);
  while (Metric("bonsai_configuration_generation").value_or(0) < static_cast<double>(generation)) {
    if (std::chrono::steady_clock::now() >= end) return false;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  return true;
}

bool Cluster::WaitInSync(int timeout_seconds) const {
  return WaitFor(
      [&] {
        auto config = Ctl("config");
        if (!config.is_object() || config.value("generation", "0") == "0") return false;
        size_t given = 0;
        for (const auto& setting : config["settings"]) {
          if (!setting.value("is_given", false)) continue;
          ++given;
          auto wanted = config_.find(setting["key"]);
          if (wanted == config_.end()) return false;
          std::string value = wanted->second;
          std::erase(value, ' ');
          if (setting["value"] != value) return false;
        }
        return given == config_.size() && Ctl("status").value(
                                              "/configuration/in_sync"_json_pointer, false);
      },
      timeout_seconds);
}

bool Cluster::WaitProblem(const std::string& code, bool present, int timeout_seconds) const {
  return WaitFor(
      [&] {
        auto status = Ctl("status");
        if (!status.is_object()) return false;
        bool found = false;
        for (const auto& problem : status.value("problems", nlohmann::json::array())) {
          found |= problem.value("code", "") == code;
        }
        return found == present;
      },
      timeout_seconds);
}

std::set<unsigned> Cluster::KernelProgramIds() const {
  std::set<unsigned> ids;
  auto net = nlohmann::json::parse(node.Exec("bpftool -j net show").output, nullptr, false);
  if (!net.is_array() || net.empty()) return ids;
  for (const auto& program : net[0].value("tc", nlohmann::json::array())) {
    ids.insert(program.value("prog_id", program.value("id", 0u)));
  }
  for (const auto& program : net[0].value("xdp", nlohmann::json::array())) {
    ids.insert(program.value("id", program.value("prog_id", 0u)));
  }
  std::set<unsigned> entries = ids;
  for (unsigned id : entries) {
    for (unsigned map : MapIdsOf(id)) {
      if (Bpftool("map show id " + std::to_string(map)).value("type", "") != "prog_array") continue;
      for (const auto& slot : Bpftool("map dump id " + std::to_string(map))) {
        if (!slot.contains("value") || !slot["value"].is_array()) continue;
        unsigned program = 0;
        for (size_t byte = 0; byte < 4; ++byte) {
          program |= std::stoul(slot["value"][byte].get<std::string>(), nullptr, 16) << (8 * byte);
        }
        ids.insert(program);
      }
    }
  }
  return ids;
}

std::set<unsigned> Cluster::MapIdsOf(unsigned program) const {
  auto shown = Bpftool("prog show id " + std::to_string(program));
  auto ids = shown.value("map_ids", std::vector<unsigned>());
  return {ids.begin(), ids.end()};
}

std::set<unsigned> Cluster::KernelMapIds() const {
  std::set<unsigned> ids;
  std::error_code none;
  for (const auto& pin : fs::directory_iterator(bpf_root_ + "/maps", none)) {
    auto map = Bpftool("map show pinned " + pin.path().string());
    if (map.is_object()) ids.insert(map.value("id", 0u));
  }
  for (unsigned program : KernelProgramIds()) ids.merge(MapIdsOf(program));
  for (const auto& fd : fs::directory_iterator("/proc/" + std::to_string(agent_) + "/fdinfo", none)) {
    std::ifstream file(fd.path());
    std::string word;
    unsigned id = 0;
    while (file >> word) {
      if (word == "map_id:" && file >> id) ids.insert(id);
    }
  }
  return ids;
}

std::set<std::string> Cluster::KernelMaps() const {
  std::set<std::string> names;
  for (unsigned id : KernelMapIds()) {
    std::string name = Bpftool("map show id " + std::to_string(id)).value("name", "");
    // Frozen constants and libbpf's probes are not maps of a feature.
    if (name.find(".rodata") == std::string::npos && !name.empty()) names.insert(name);
  }
  return names;
}

std::set<std::string> Cluster::KernelPrograms() const {
  std::set<std::string> names;
  for (unsigned id : KernelProgramIds()) {
    names.insert(Bpftool("prog show id " + std::to_string(id)).value("name", ""));
  }
  return names;
}

}  // namespace bonsai::testing
