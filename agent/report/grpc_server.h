// SPDX-License-Identifier: Apache-2.0
// GrpcServer: bonsai.v1, grpc.health.v1 and server reflection on a unix socket.
//
// Start and Stop belong to one thread; requests run on gRPC's own. The health service follows the
// snapshot: serving while it is healthy or degraded, for "" and for "bonsai.v1.Agent".
#pragma once

#include <absl/status/status.h>
#include <absl/status/statusor.h>

#include <memory>
#include <string>

#include "agent/report/flow_hub.h"
#include "agent/report/life_desk.h"
#include "agent/report/snapshot.h"

namespace bonsai::report {

struct GrpcOptions {
  std::string socket_path = "/run/bonsai/agent.sock";  // its directory is made when absent
  std::string group;  // owns the socket, mode 0660; "": the agent's own group
};

class GrpcServer {
 public:
  // Serves when this returns. FailedPrecondition when a live agent serves on the path;
  // InvalidArgument for a path that cannot be, or an unknown group. `publisher`, `hub` and
  // `life` must outlive the server; without `life` bonsai.v1.Life is not served.
  static absl::StatusOr<std::unique_ptr<GrpcServer>> Start(const GrpcOptions& options,
                                                           const Publisher& publisher,
                                                           FlowHub& hub,
                                                           LifeDesk* life = nullptr);
  ~GrpcServer();  // stops
  GrpcServer(const GrpcServer&) = delete;
  GrpcServer& operator=(const GrpcServer&) = delete;

  // Ends open streams, removes the socket. Takes less than a second. Idempotent.
  void Stop();

 private:
  struct State;
  explicit GrpcServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bonsai::report
