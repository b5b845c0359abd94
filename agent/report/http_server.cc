// SPDX-License-Identifier: Apache-2.0
#include "agent/report/http_server.h"

#include <civetweb.h>
#include <fmt/format.h>

#include <charconv>
#include <mutex>
#include <string>
#include <utility>

#include "agent/base/status.h"
#include "agent/report/metrics.h"

namespace bonsai::report {
namespace {

constexpr char kMetricsType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr char kPlainType[] = "text/plain; charset=utf-8";

struct Response {
  int code = 200;
  std::string body;
  const char* type = kPlainType;
};

// Health is no matter of life: a restart mends no wrong configuration.
Response Healthz(const Publisher& publisher, std::chrono::seconds stale_after) {
  const auto age = std::chrono::duration_cast<std::chrono::seconds>(publisher.Age());
  if (age > stale_after) {
    return {503, fmt::format("dead: the reconciler has been silent for {} s\n", age.count())};
  }
  return {200, "ok\n"};
}

Response Readyz(const Publisher& publisher) {
  const auto snapshot = publisher.Current();
  if (snapshot->configuration.generation == 0) return {503, "no configuration is in force yet\n"};
  if (snapshot->health == Health::kUnhealthy) return {503, "unhealthy\n"};
  return {200, "ok\n"};
}

// What civetweb is to bind for an address as operators write it.
absl::StatusOr<std::string> ListenSpec(const std::string& address) {
  const size_t colon = address.rfind(':');
  uint16_t port = 0;
  const char* first = address.data() + (colon == std::string::npos ? address.size() : colon + 1);
  const auto [end, error] = std::from_chars(first, address.data() + address.size(), port);
  // Commas mean something to civetweb, and distributions build it without IPv6.
  const bool clean = address.find_first_of(",[") == std::string::npos;
  if (error != std::errc() || end != address.data() + address.size() || !clean) {
    return base::InvalidArgument(
        "serving metrics on \"{}\": expected IPv4 address:port or :port", address);
  }
  return colon == 0 ? fmt::format("+{}", port) : address;
}

const char* Phrase(int code) {
  switch (code) {
    case 200: return "OK";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    default: return "Service Unavailable";
  }
}

void Send(mg_connection* connection, const Response& response, bool with_body) {
  const std::string head = fmt::format(
      "HTTP/1.1 {} {}\r\nContent-Type: {}\r\nContent-Length: {}\r\nCache-Control: no-store\r\n"
      "Connection: close\r\n\r\n",
      response.code, Phrase(response.code), response.type, response.body.size());
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, response.body.data(), response.body.size());
}

struct StopContext {
  void operator()(mg_context* context) const { mg_stop(context); }
};

}  // namespace

struct HttpServer::State {
  State(const Publisher& source, std::chrono::seconds stale)
      : publisher(source), metrics(source), stale_after(stale) {}

  Response Answer(const std::string& path) const {
    if (path == "/metrics") return {200, MetricsText(metrics), kMetricsType};
    if (path == "/healthz") return Healthz(publisher, stale_after);
    if (path == "/readyz") return Readyz(publisher);
    return {404, "only /metrics, /healthz and /readyz are here\n"};
  }

  static int OnRequest(mg_connection* connection) {
    const auto& state = *static_cast<const State*>(mg_get_user_data(mg_get_context(connection)));
    const mg_request_info& request = *mg_get_request_info(connection);
    const std::string method = request.request_method;
    Response response{405, "only GET is served here\n"};
    if (method == "GET" || method == "HEAD") response = state.Answer(request.local_uri);
    Send(connection, response, method != "HEAD");
    return response.code;  // not 0: answered
  }

  static int OnMessage(const mg_connection* connection, const char* message) {
    auto& state = *static_cast<State*>(mg_get_user_data(mg_get_context(connection)));
    std::lock_guard lock(state.mutex);
    // Only the first words matter: why it cannot listen.
    if (state.messages.empty()) state.messages = message;
    return 1;  // handled
  }

  const Publisher& publisher;
  const MetricsCollector metrics;
  const std::chrono::seconds stale_after;
  std::mutex mutex;
  std::string messages;  // guarded by mutex
  std::unique_ptr<mg_context, StopContext> context;  // last: its threads use the rest
};

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const HttpOptions& options,
                                                              const Publisher& publisher) {
  ASSIGN_OR_RETURN(std::string listen, ListenSpec(options.address));
  auto state = std::make_unique<State>(publisher, options.stale_after);
  mg_callbacks callbacks{};
  callbacks.begin_request = State::OnRequest;
  callbacks.log_message = State::OnMessage;
  const char* settings[] = {"listening_ports", listen.c_str(), "num_threads", "4",
                            "request_timeout_ms", "10000", "enable_keep_alive", "no", nullptr};
  state->context.reset(mg_start(&callbacks, state.get(), settings));
  if (state->context) return std::unique_ptr<HttpServer>(new HttpServer(std::move(state)));
  std::lock_guard lock(state->mutex);
  if (state->messages.find("Address already in use") != std::string::npos) {
    return base::Unavailable(
        "serving metrics on {}: the port is in use; free it or set metrics-address to another",
        options.address);
  }
  return base::InvalidArgument(
      "serving metrics on {}: {}; set metrics-address to an address of this node",
      options.address, state->messages.empty() ? "cannot listen there" : state->messages);
}

HttpServer::HttpServer(std::unique_ptr<State> state) : state_(std::move(state)) {}

HttpServer::~HttpServer() = default;

int HttpServer::port() const {
  mg_server_port ports[2] = {};
  return mg_get_server_ports(state_->context.get(), 2, ports) > 0 ? ports[0].port : 0;
}

}  // namespace bonsai::report
