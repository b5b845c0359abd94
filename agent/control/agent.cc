// SPDX-License-Identifier: Apache-2.0
#include "agent/control/agent.h"

#include <signal.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <memory>
#include <thread>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "agent/base/version.h"
#include "agent/control/datapath.h"
#include "agent/control/reconciler.h"
#include "agent/kernel/dir_watcher.h"
#include "agent/kernel/netlink.h"
#include "agent/report/flow_hub.h"
#include "agent/report/grpc_server.h"
#include "agent/report/life_desk.h"

namespace bonsai::control {
namespace {

// Signals become readable instead of interrupting: nothing ever runs inside a signal handler.
absl::StatusOr<base::UniqueFd> BlockSignals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  sigprocmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  base::UniqueFd fd(signalfd(-1, &signals, SFD_CLOEXEC));
  if (!fd.valid()) return base::ErrnoStatus(errno, "making a signalfd");
  return fd;
}

std::string HostName() {
  char name[256] = {};
  return gethostname(name, sizeof(name) - 1) == 0 ? name : "unknown";
}

using Watcher = std::unique_ptr<kernel::DirWatcher>;

absl::StatusOr<Watcher> Watch(const std::string& path, Inbox& inbox, Event event) {
  if (path.empty()) return Watcher();
  return kernel::DirWatcher::Start(path, [&inbox, event] { inbox.Post(event); });
}

}  // namespace

absl::Status RunAgent(Options options, const base::Logger& log) {
  if (options.node_name.empty()) options.node_name = HostName();
  ASSIGN_OR_RETURN(base::UniqueFd signals, BlockSignals());
  log->info("bonsai-agent {} on {}", base::kVersion, options.node_name);

  // The socket is what says that there is one agent, so it comes before anything is touched.
  report::Publisher publisher;
  report::FlowHub hub;
  Inbox inbox;
  report::LifeDesk life([&inbox] { inbox.Post(kLifeAsked); });
  ASSIGN_OR_RETURN(auto grpc, report::GrpcServer::Start({.socket_path = options.socket}, publisher,
                                                        hub, &life));
  ASSIGN_OR_RETURN(Datapath datapath, Datapath::Open(options));
  ASSIGN_OR_RETURN(settings::Schema schema, Datapath::MakeSchema(datapath.objects()));

  Reconciler reconciler(options, schema, std::move(datapath), inbox, publisher, hub, life, log);
  const std::string& config = options.config_dir.empty() ? options.config_file : options.config_dir;
  ASSIGN_OR_RETURN(Watcher config_watcher, Watch(config, inbox, kConfigChanged));
  ASSIGN_OR_RETURN(Watcher manifest_watcher, Watch(options.manifests_dir, inbox, kManifestsChanged));
  ASSIGN_OR_RETURN(auto netlink_monitor,
                   kernel::NetlinkMonitor::Start([&inbox] { inbox.Post(kNetworkChanged); }));
  std::jthread reconciling([&](std::stop_token stop) { reconciler.Run(stop); });

  signalfd_siginfo received;
  while (read(signals.get(), &received, sizeof(received)) < 0 && errno == EINTR) {
  }
  log->info("stopping on signal {}; the datapath goes on", received.ssi_signo);
  reconciling.request_stop();
  reconciling.join();
  return absl::OkStatus();
}

}  // namespace bonsai::control
