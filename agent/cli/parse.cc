// SPDX-License-Identifier: Apache-2.0
#include <CLI/CLI.hpp>

#include <charconv>
#include <iostream>
#include <memory>
#include <sstream>
#include <vector>

#include "agent/cli/completion.h"
#include "agent/cli/options.h"
#include "agent/cli/run.h"

namespace bonsai::cli {
namespace {

constexpr char kFooter[] =
    "Data goes to stdout, messages to stderr.\n"
    "Exit codes: 0 ok, 1 unreachable or unhealthy, 2 usage or refused, 3 degraded.\n"
    "Environment: BONSAI_SOCKET, NO_COLOR.";

// Where CLI11 puts what needs more than a copy into Options.
struct Raw {
  std::string format = "table";
  double timeout = 0;
  double watch = 2;
  uint32_t last = 20;
  uint64_t limit = 0;
  std::string shell = "bash";
  std::string pod, address;
  std::string explain_kind, explain_name;
  std::vector<std::string> l7;
  bool follow = false, drops = false;
};

struct Flags {
  CLI::Option* timeout = nullptr;
  CLI::Option* watch = nullptr;
};

Flags AddCommonOptions(CLI::App& app, Options& options, Raw& raw) {
  app.add_option("--socket", options.socket, "Socket of the agent")
      ->envname("BONSAI_SOCKET")
      ->capture_default_str();
  app.add_option("-o,--output", raw.format, "Form of the output")
      ->check(CLI::IsMember({"table", "json", "yaml", "dot"}))
      ->capture_default_str();
  Flags flags;
  flags.timeout = app.add_option("--timeout", raw.timeout, "Seconds to wait for the answer [5]")
                      ->check(CLI::PositiveNumber);
  flags.watch = app.add_option("--watch", raw.watch, "Repeat every so many seconds [2]")
                    ->expected(0, 1)
                    ->check(CLI::PositiveNumber);
  return flags;
}

void AddQueries(CLI::App& app) {
  app.add_subcommand("status", "Is it well, what is on, what was refused");
  app.add_subcommand("features", "Each feature and what it costs");
  app.add_subcommand("maps", "Each map, loaded or pruned, and why");
  app.add_subcommand("programs", "Each program, loaded or pruned, and why");
  app.add_subcommand("constants", "Load-time constants of each object");
  app.add_subcommand("config", "Each setting and its value in force");
  app.add_subcommand("endpoints", "Pods of this node");
  app.add_subcommand("services", "Service addresses and their backends");
  app.add_subcommand("policies", "Policy rules in force");
  app.add_subcommand("version", "Versions of agentctl and of the agent");
}

void AddFlows(CLI::App& app, Raw& raw) {
  CLI::App* flows = app.add_subcommand("flows", "What the datapath reports of single packets, and saw in them");
  flows->add_option("--last", raw.last, "How many of the kept flows to show")->capture_default_str();
  flows->add_flag("-f,--follow", raw.follow, "Then show new ones as they happen");
  flows->add_flag("--drops", raw.drops, "Only dropped packets");
  flows->add_option("--pod", raw.pod, "Only from or to this pod: namespace/name or name");
  flows->add_option("--ip", raw.address, "Only from or to this address or CIDR");
  flows->add_option("--l7", raw.l7, "Only what was seen of this layer 7 protocol; may be repeated")
      ->check(CLI::IsMember({"dns", "http"}))
      ->allow_extra_args(false);
  flows->add_option("--limit", raw.limit, "End after this many flows");
}

constexpr char kAnalyzeFooter[] =
    "NAME is a constant of the object, in snake_case or kebab-case, or a part of one:\n"
    "name.field, name.field.sub[2]. What stands before an underscore may be left out where that\n"
    "is not ambiguous: x for __config_x. VALUE is decimal, 0x.. or 0b.., true or false, or\n"
    "hex:BYTES for all bytes of the constant as they lie in memory. It has to fit the type.\n"
    "FILE of --config is flat YAML, NAME: VALUE. A key that is no constant of this object is\n"
    "refused, but for an object whose constants are settings of an agent: keys that the agent\n"
    "itself or other objects in the folder of OBJ have as settings are passed over.\n"
    "--section is applied first, then --config, then --set; of two values the last wins.\n"
    "--why asks why one thing is alive or dead: its KIND is map, program or function. Of a dead\n"
    "one: the places that decide and the values that would bring it; of a live one: the shortest\n"
    "way to it and the values that would cut it. --what-if tries other values of each constant\n"
    "alone. -o table then shows the answers alone, -o json and yaml have them beside the rest.\n"
    "-o dot draws a graph for graphviz, dead parts grey. Slots are 8 bytes of code.\n"
    "Exit codes: 0 ok, 2 anything given that cannot be.";

void AddAnalyze(CLI::App& analyze, AnalyzeOptions& options) {
  const auto list = [&](const char* name, std::vector<std::string>& values, const char* form,
                        const char* text) {
    analyze.add_option(name, values, text)->type_name(form)->allow_extra_args(false);
  };
  analyze.add_option("OBJ", options.object, "BPF ELF file")->required();
  list("--set", options.assignments, "NAME=VALUE", "Value of a constant");
  analyze.add_option("--config", options.config, "Values of constants, as in a ConfigMap")
      ->type_name("FILE");
  list("--section", options.sections, "SECTION=@FILE", "All bytes of a read-only section");
  list("--tail", options.tails, "MAP:SLOT=PROG", "Program in a slot of a program array");
  list("--entry", options.entries, "PROG", "Program that starts [all without a tail slot]");
  list("--why", options.whys, "KIND/NAME", "Why a map, program or function is alive or dead");
  analyze.add_flag("--what-if", options.what_if, "What other values of constants bring and cut");
  analyze.footer(kAnalyzeFooter);
}

constexpr char kExplainFooter[] =
    "NAME is as agentctl maps, programs and config have it; without NAME all names are listed. Of\n"
    "what exists: the shortest way to it and the settings that would remove it; of what does not:\n"
    "the branches that decide and the settings that would bring it. Of a setting: what it feeds,\n"
    "decides and sizes, and what other values would bring, remove and cost. Bytes are predicted for\n"
    "what does not exist.\n"
    "With --objects no agent is asked: -f and --set are then the configuration, else all defaults.\n"
    "Exit codes: 0 ok, 1 unreachable, 2 anything given that cannot be.";

void AddExplain(CLI::App& app, ExplainOptions& options, Raw& raw) {
  CLI::App* explain =
      app.add_subcommand("explain", "Why something is there or not, and what would change that");
  explain->add_option("KIND", raw.explain_kind, "map, program, function or setting")
      ->required()
      ->check(CLI::IsMember({"map", "program", "function", "setting"}));
  explain->add_option("NAME", raw.explain_name, "What to explain");
  CLI::Option* objects =
      explain->add_option("--objects", options.objects, "Offline: directory of *.bpf.o files")
          ->type_name("DIR");
  explain->add_option("-f,--config", options.config, "Offline: a flat YAML file or a directory")
      ->type_name("FILE")
      ->needs(objects);
  explain->add_option("--set", options.assignments, "Offline: a setting, over the file's")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false)
      ->needs(objects);
  explain->footer(kExplainFooter);
}

constexpr char kLifeFooter[] =
    "Without an action the board is drawn, live on a terminal, else once; what does not fit on the\n"
    "screen is cut away around the middle. Keys: q leaves, p or space pauses, s steps. -o json and yaml\n"
    "have the numbers and the board as RLE, which seed reads back.\n"
    "PATTERN is glider, gun, random or a file in RLE, the format of Life collections; it goes to the\n"
    "middle of the board. step returns when its generations are there, however long that takes; after\n"
    "the seconds of --timeout, where given, it no longer waits, but a step that has begun goes on.\n"
    "Exit codes: 0 ok, 1 no answer or no board, 2 anything given that cannot be.";

// Why this is none, or "". CLI11 itself would take -1, and cut what is too large.
std::string RefuseNumber(const std::string& text) {
  uint64_t number = 0;
  const char* const end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, number);
  if (error == std::errc() && rest == end) return "";
  return text + " is not in 0..18446744073709551615";
}

void AddLife(CLI::App& app, LifeOptions& options) {
  CLI::App* life = app.add_subcommand("life", "The Game of Life that the kernel plays");
  life->require_subcommand(0, 1);
  life->add_flag("--once", options.once, "Draw it once");
  CLI::App* seed = life->add_subcommand("seed", "Put a pattern on the board");
  seed->add_option("PATTERN", options.pattern, "glider, gun, random or FILE.rle")->required();
  seed->add_option("--number", options.number,
                   "Of random: the same number, the same board; 0: another one each time")
      ->check(CLI::Validator(RefuseNumber, "0..18446744073709551615"));
  life->add_subcommand("pause", "Let the board stand still");
  life->add_subcommand("resume", "Let it go on");
  CLI::App* step = life->add_subcommand("step", "Compute some generations, then stand still");
  step->add_option("N", options.generations, "How many")
      ->check(CLI::Range(1, 1000000))
      ->capture_default_str();
  CLI::App* speed = life->add_subcommand("speed", "Time from one generation to the next");
  speed->add_option("MS", options.interval_ms, "Milliseconds, at least; 0: as fast as it may")
      ->required()
      ->check(CLI::Range(0.0, 3600000.0));
  for (CLI::App* action : life->get_subcommands({})) action->fallthrough();
  life->footer(kLifeFooter);
}

v1::ExplainKind ExplainKindOf(const std::string& word) {
  if (word == "map") return v1::EXPLAIN_KIND_MAP;
  if (word == "program") return v1::EXPLAIN_KIND_PROGRAM;
  return word == "function" ? v1::EXPLAIN_KIND_FUNCTION : v1::EXPLAIN_KIND_SETTING;
}

void AddOffline(CLI::App& app, Options& options, Raw& raw) {
  CLI::App* analyze =
      app.add_subcommand("analyze", "What a BPF object can reach with given constants; offline");
  AddAnalyze(*analyze, options.analyze);
  CLI::App* completion = app.add_subcommand("completion", "Completion script for a shell");
  completion->add_option("shell", raw.shell, "Shell")
      ->check(CLI::IsMember({"bash"}))
      ->capture_default_str();
}

constexpr char kPlanFooter[] =
    "KEY and VALUE are as in the ConfigMap. --config is a whole configuration, flat YAML, in place of\n"
    "what is set now; --set is on top of that, or of what is in force. Of two values the last wins.\n"
    "With --objects no agent is asked: DIR holds the *.bpf.o files, --current is what is held against,\n"
    "all defaults when absent. Without the right to use BPF the bytes are those of kernel 6.18.\n"
    "  + comes   - goes   ~ changes   ! refuses\n"
    "live: tables are written; reload: new programs are swapped in; migrate: a map is made anew at\n"
    "another size and takes its contents along. Bytes are kernel memory of maps, all CPUs; tables that\n"
    "grow with what is entered (CIDRs, identities) are counted as they are, and empty when they come.\n"
    "Exit codes: 0 it would be applied, 1 no answer from the agent, 2 it would be refused, or usage.";

void AddPlan(CLI::App& app, PlanOptions& options) {
  CLI::App* plan = app.add_subcommand("plan", "What another configuration would change, and cost");
  plan->add_option("--set", options.assignments, "Value of a setting")
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
  plan->add_option("-f,--config", options.config, "A whole configuration, flat: the data of a ConfigMap")
      ->type_name("FILE");
  CLI::Option* objects =
      plan->add_option("--objects", options.objects, "Plan offline, from these objects")
          ->type_name("DIR");
  plan->add_option("--current", options.current, "Offline: the configuration it is held against")
      ->type_name("FILE")
      ->needs(objects);
  plan->footer(kPlanFooter);
}

constexpr char kUninstallFooter[] =
    "Works on this node itself, as root, and asks no agent. Removed are links, tc filters, clsact\n"
    "qdiscs that the agent made and nobody else uses, pins, socket and lock; foreign programs stay.\n"
    "Refused while an agent runs: stop it first (kubectl delete daemonset bonsai).\n"
    "Exit codes: 0 removed, or nothing to remove; 1 refused or failed.";

void AddUninstall(CLI::App& app, control::UninstallOptions& options) {
  CLI::App* uninstall = app.add_subcommand("uninstall", "Take the datapath off this node");
  uninstall->add_option("--bpf-root", options.bpf_root, "Where maps and links are pinned")
      ->capture_default_str();
  uninstall->add_flag("--dry-run", options.dry_run, "Only say what would be removed");
  uninstall->footer(kUninstallFooter);
}

std::vector<std::string> OptionNames(const CLI::App& app) {
  std::vector<std::string> names;
  for (const CLI::Option* option : app.get_options()) {
    for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
  }
  return names;
}

std::string Completion(const CLI::App& app) {
  std::vector<CompletionCommand> commands;
  for (const CLI::App* command : app.get_subcommands({})) {
    commands.push_back({command->get_name(), OptionNames(*command)});
  }
  return BashCompletion(OptionNames(app), commands);
}

std::optional<int> Refuse(const std::string& message) {
  std::cerr << "agentctl: " << message << "\n";
  return kExitUsage;
}

void Finish(const CLI::App& app, const Flags& flags, const Raw& raw, Parsed& parsed) {
  Options& options = parsed.options;
  options.command = app.get_subcommands().front()->get_name();
  options.format = raw.format == "json"   ? Format::kJson
                   : raw.format == "yaml" ? Format::kYaml
                   : raw.format == "dot"  ? Format::kDot
                                          : Format::kTable;
  if (flags.timeout->count()) options.timeout = raw.timeout;
  if (flags.watch->count()) options.watch = raw.watch;
  options.flows.set_last(raw.last);
  options.flows.set_follow(raw.follow);
  options.flows.set_drops_only(raw.drops);
  options.flows.set_pod(raw.pod);
  options.flows.set_address(raw.address);
  options.flows.set_limit(raw.limit);
  for (const std::string& protocol : raw.l7) {
    options.flows.add_l7(protocol == "dns" ? v1::L7_PROTOCOL_DNS : v1::L7_PROTOCOL_HTTP);
  }
  options.explain.request.set_kind(ExplainKindOf(raw.explain_kind));
  options.explain.request.set_name(raw.explain_name);
  const std::string& command = options.command;
  if (command == "life") {
    const auto actions = app.get_subcommands().front()->get_subcommands();
    if (!actions.empty()) options.life.action = actions.front()->get_name();
  }
  if (command == "completion") parsed.completion = Completion(app);
  if (options.format == Format::kDot && command != "analyze") {
    parsed.exit = Refuse("-o dot is for analyze alone");
  } else if (options.format == Format::kDot &&
             (options.analyze.what_if || !options.analyze.whys.empty())) {
    parsed.exit = Refuse("--why and --what-if are not for -o dot");
  } else if (options.watch &&
             (command == "flows" || command == "analyze" || command == "life" || command == "plan" ||
              command == "uninstall" || command == "completion")) {
    parsed.exit = Refuse(command == "flows" ? "--watch is not for flows; use --follow"
                                            : "--watch is not for " + command);
  } else if (command == "plan" && options.plan.assignments.empty() &&
             options.plan.config.empty()) {
    parsed.exit = Refuse("plan: say what to change, with --set KEY=VALUE or --config FILE");
  }
}

}  // namespace

Parsed ParseCommandLine(int argc, const char* const* argv) {
  Parsed parsed;
  Raw raw;
  CLI::App app("Shows what the Bonsai agent of this node runs, and why.", "agentctl");
  app.require_subcommand(1);
  app.fallthrough();  // common options may stand after the command too
  app.footer(kFooter);
  const Flags flags = AddCommonOptions(app, parsed.options, raw);
  AddQueries(app);
  AddFlows(app, raw);
  AddExplain(app, parsed.options.explain, raw);
  AddPlan(app, parsed.options.plan);
  AddUninstall(app, parsed.options.uninstall);
  AddLife(app, parsed.options.life);
  AddOffline(app, parsed.options, raw);
  try {
    app.parse(argc, argv);
    Finish(app, flags, raw, parsed);
  } catch (const CLI::Success& help) {
    parsed.exit = app.exit(help, std::cout, std::cerr);
  } catch (const CLI::Error& error) {
    parsed.exit = Refuse(std::string(error.what()) + " (agentctl --help)");
  }
  return parsed;
}

}  // namespace bonsai::cli
