// SPDX-License-Identifier: Apache-2.0
#include "agent/cli/run.h"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "agent/base/status.h"
#include "agent/base/version.h"
#include "agent/cli/analyze.h"
#include "agent/cli/analyze_dot.h"
#include "agent/cli/analyze_json.h"
#include "agent/cli/analyze_table.h"
#include "agent/cli/analyze_why_table.h"
#include "agent/cli/client.h"
#include "agent/cli/document.h"
#include "agent/cli/explain.h"
#include "agent/cli/life.h"
#include "agent/cli/options.h"
#include "agent/cli/plan.h"
#include "agent/cli/render.h"
#include "agent/cli/units.h"

namespace bonsai::cli {
namespace {

constexpr double kDefaultTimeout = 5;

struct Session {
  const Options& options;
  Client& client;
  Style style;
};

int Fail(const absl::Status& status) {
  std::cerr << "agentctl: " << base::Message(status) << "\n";
  const bool usage = absl::IsInvalidArgument(status) || absl::IsNotFound(status);
  return usage ? kExitUsage : kExitUnreachable;
}

std::string RenderNow(const v1::GetStatusResponse& status, Style style) {
  return Render(status, style, std::time(nullptr));
}
template <typename Response>
std::string RenderNow(const Response& response, Style style) {
  return Render(response, style);
}

int Judge(const v1::GetStatusResponse& status) {
  switch (status.health()) {
    case v1::HEALTH_HEALTHY: return kExitOk;
    case v1::HEALTH_STARTING:
    case v1::HEALTH_DEGRADED: return kExitDegraded;
    default: return kExitUnreachable;
  }
}
template <typename Response>
int Judge(const Response&) {
  return kExitOk;
}

template <typename Response>
std::string Document(const Response& response, Format format, Style style) {
  switch (format) {
    case Format::kJson: return ToJson(response);
    case Format::kYaml: return ToYaml(response);
    case Format::kTable: case Format::kDot: break;
  }
  return RenderNow(response, style);
}

template <typename Response>
int Show(const Session& session) {
  const Client::Timeout timeout(session.options.timeout.value_or(kDefaultTimeout));
  auto response = session.client.Get<Response>(timeout);
  if (!response.ok()) return Fail(response.status());
  std::cout << Document(*response, session.options.format, session.style) << std::flush;
  return Judge(*response);
}

int ShowVersion(const Session& session) {
  if (session.options.format == Format::kTable) {
    std::cout << "agentctl " << base::kVersion << "\n" << std::flush;
  }
  return Show<v1::GetVersionResponse>(session);
}

int ShowFlows(const Session& session) {
  std::optional<Client::Timeout> timeout;
  if (session.options.timeout) timeout.emplace(*session.options.timeout);
  if (!timeout && !session.options.flows.follow()) timeout.emplace(kDefaultTimeout);
  const absl::Status status = session.client.StreamFlows(
      session.options.flows, timeout, [&](const v1::StreamFlowsResponse& response) {
        if (response.lost()) {
          std::cerr << "agentctl: " << response.lost() << " flows were lost here: read too slowly\n";
        }
        switch (session.options.format) {
          case Format::kTable: case Format::kDot:
            std::cout << Render(response.flow(), session.style);
            break;
          case Format::kJson: std::cout << ToJsonLine(response.flow()); break;
          case Format::kYaml: std::cout << "---\n" << ToYaml(response.flow()); break;
        }
        std::cout << std::flush;
      });
  return status.ok() ? kExitOk : Fail(status);
}

int ShowExplanation(const Session& session) {
  const ExplainOptions& options = session.options.explain;
  const Client::Timeout timeout(session.options.timeout.value_or(kDefaultTimeout));
  const auto answer = options.objects.empty() ? ExplainOnline(options, session.client, timeout)
                                              : ExplainOffline(options);
  if (!answer.ok()) return Fail(answer.status());
  std::cout << Document(*answer, session.options.format, session.style) << std::flush;
  return kExitOk;
}

int ShowLife(const Session& session) {
  const bool live = ::isatty(STDIN_FILENO) && ::isatty(STDOUT_FILENO);
  const auto text = PlayLife(session.options, session.client, session.style, live);
  if (!text.ok()) return Fail(text.status());
  std::cout << *text << std::flush;
  return kExitOk;
}

std::string Document(const Analysis& analysis, const Answers& answers, Format format,
                     Style style) {
  if (format == Format::kTable && !answers.empty()) return AnswersTable(analysis, answers, style);
  const Facts facts = FactsOf(analysis);
  switch (format) {
    case Format::kJson: return AnalysisJson(analysis, facts, answers);
    case Format::kYaml: {
      const std::string json = AnalysisJson(analysis, facts, answers);
      return ToYaml(nlohmann::ordered_json::parse(json, nullptr, /*allow_exceptions=*/false));
    }
    case Format::kDot: return AnalysisDot(analysis, facts);
    case Format::kTable: break;
  }
  return AnalysisTable(analysis, facts, style);
}

// One line, whatever names it quotes and however many problems a file has.
int RefuseObject(const absl::Status& status) {
  std::string message = base::Message(status);
  for (size_t at = 0; (at = message.find('\n', at)) != std::string::npos;) {
    message.replace(at, 1, "; ");
  }
  std::cerr << "agentctl: " << Printable(message) << "\n";
  return kExitUsage;
}

int ShowAnalysis(const Options& options, Style style) {
  const auto analysis = Analyze(options.analyze);
  if (!analysis.ok()) return RefuseObject(analysis.status());
  const auto answers = AnswersTo(options.analyze, *analysis);
  if (!answers.ok()) return RefuseObject(answers.status());
  std::cout << Document(*analysis, *answers, options.format, style) << std::flush;
  if (std::cout) return kExitOk;
  std::cerr << "agentctl: writing the output: it could not be written whole\n";
  return kExitUnreachable;
}

// A refusal is an answer, so it goes to stdout like any other.
int ShowPlan(const Options& options, Style style) {
  Client client(options.socket);
  const Client::Timeout timeout(options.timeout.value_or(kDefaultTimeout));
  const auto plan = options.plan.objects.empty() ? PlanOnline(options.plan, client, timeout)
                                                 : PlanOffline(options.plan);
  if (!plan.ok()) return Fail(plan.status());
  std::cout << Document(*plan, options.format, style) << std::flush;
  return plan->accepted() ? kExitOk : kExitUsage;
}

int Uninstall(const Options& options) {
  control::UninstallOptions paths = options.uninstall;
  paths.socket = options.socket;
  const auto result = control::Uninstall(paths);
  if (!result.ok()) {
    std::cerr << "agentctl: " << base::Message(result.status()) << "\n";
    return absl::IsInvalidArgument(result.status()) ? kExitUsage : kExitUnreachable;
  }
  const nlohmann::ordered_json tree = {{"dry_run", paths.dry_run},
                                       {"removed", result->removed},
                                       {"left", result->left}};
  switch (options.format) {
    case Format::kJson: std::cout << tree.dump(2) << "\n"; break;
    case Format::kYaml: std::cout << ToYaml(tree); break;
    case Format::kTable: case Format::kDot:
      std::cout << control::ToText(*result, paths.dry_run);
      break;
  }
  std::cout << std::flush;
  return kExitOk;
}

using Command = std::function<int(const Session&)>;

const std::map<std::string, Command>& Commands() {
  static const std::map<std::string, Command> kCommands = {
      {"status", Show<v1::GetStatusResponse>},
      {"features", Show<v1::ListFeaturesResponse>},
      {"maps", Show<v1::ListMapsResponse>},
      {"programs", Show<v1::ListProgramsResponse>},
      {"constants", Show<v1::ListConstantsResponse>},
      {"config", Show<v1::GetConfigResponse>},
      {"endpoints", Show<v1::ListEndpointsResponse>},
      {"services", Show<v1::ListServicesResponse>},
      {"policies", Show<v1::ListPoliciesResponse>},
      {"version", ShowVersion},
      {"flows", ShowFlows},
      {"explain", ShowExplanation},
      {"life", ShowLife},
  };
  return kCommands;
}

// Until interrupted; an agent that restarts meanwhile is waited for.
[[noreturn]] void Watch(const Session& session, const Command& command, double seconds) {
  const bool screen = ::isatty(STDOUT_FILENO) && session.options.format == Format::kTable;
  while (true) {
    if (screen) std::cout << "\033[H\033[2J";
    if (session.options.format == Format::kYaml) std::cout << "---\n";
    command(session);
    std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
    if (!screen && session.options.format == Format::kTable) std::cout << "\n";
  }
}

Style TerminalStyle() {
  const char* no_colour = std::getenv("NO_COLOR");
  const bool wanted = no_colour == nullptr || *no_colour == '\0';
  return {.colour = wanted && ::isatty(STDOUT_FILENO)};
}

}  // namespace

int Run(int argc, const char* const* argv) {
  const Parsed parsed = ParseCommandLine(argc, argv);
  if (parsed.exit) return *parsed.exit;
  const Options& options = parsed.options;
  if (options.command == "completion") {
    std::cout << parsed.completion;
    return kExitOk;
  }
  const Style style = TerminalStyle();
  if (options.command == "analyze") return ShowAnalysis(options, style);
  if (options.command == "plan") return ShowPlan(options, style);
  if (options.command == "uninstall") return Uninstall(options);
  Client client(options.socket);
  const Session session{options, client, style};
  const Command& command = Commands().at(options.command);
  if (options.watch) Watch(session, command, *options.watch);
  return command(session);
}

}  // namespace bonsai::cli
