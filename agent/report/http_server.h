// SPDX-License-Identifier: Apache-2.0
// HttpServer: /metrics for Prometheus, /healthz and /readyz for the kubelet.
//
//   /healthz  200 unless the reconciler has been silent for too long; the kubelet restarts an agent
//             that fails it, so a wrong configuration does not
//   /readyz   200 once a configuration is in force, unless the agent is unhealthy
//
// Start and the destructor belong to one thread; requests run on the server's own.
#pragma once

#include <absl/status/statusor.h>

#include <chrono>
#include <memory>
#include <string>

#include "agent/report/snapshot.h"

namespace bonsai::report {

struct HttpOptions {
  std::string address = "127.0.0.1:9962";  // IPv4 "address:port" or ":port"; port 0: any free
  std::chrono::seconds stale_after{30};    // silence of the reconciler that makes it dead
};

class HttpServer {
 public:
  // Serves when this returns. Unavailable when the port is in use, InvalidArgument when the address
  // cannot be read; both name it. `publisher` must outlive the server.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const HttpOptions& options,
                                                           const Publisher& publisher);
  ~HttpServer();  // answers what is under way, then closes the port; takes up to two seconds
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  struct State;
  explicit HttpServer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace bonsai::report
