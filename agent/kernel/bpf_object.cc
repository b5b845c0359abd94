// SPDX-License-Identifier: Apache-2.0
#include "agent/kernel/bpf_object.h"

#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <elf.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstring>
#include <map>
#include <vector>

#include "agent/base/status.h"
#include "agent/kernel/bpf_map.h"

namespace bonsai::kernel {
namespace {

// Room for one program's log. Untouched pages cost nothing, and only a refused program writes it.
// Kernels before 6.4 keep the head of a log that is too long, so it must hold all of it.
constexpr size_t kLogBytes = 8u << 20;
constexpr size_t kKeptLogBytes = 256u << 10;

// libbpf hands messages to one function for the whole process, without saying which object they
// are about; collecting them would take shared mutable state. They are dropped, and what they
// would say is found out where an error is made: from the verifier's log, which libbpf is given a
// buffer for, and by ExplainFailure.
int DropMessage(enum libbpf_print_level, const char*, va_list) { return 0; }

void SilenceLibbpf() {
  static const libbpf_print_fn_t previous = libbpf_set_print(DropMessage);
  static_cast<void>(previous);
}

std::string LibbpfError(int error) {
  char text[128] = {};
  libbpf_strerror(error, text, sizeof(text));
  return text;
}

bool IsStatisticsLine(const std::string& line) {
  for (const char* start : {"processed ", "verification time ", "stack depth ",
                            "-- END PROG LOAD LOG --"}) {
    if (line.rfind(start, 0) == 0) return true;
  }
  return line.find_first_not_of(" \t\r") == std::string::npos;
}

}  // namespace

struct BpfObject::State {
  struct Closer {
    void operator()(bpf_object* object) const { bpf_object__close(object); }
  };
  std::string name;
  std::unique_ptr<bpf_object, Closer> object;
  std::map<std::string, std::unique_ptr<char[]>> logs;  // by program
};

BpfObject::BpfObject(std::unique_ptr<State> state) : state_(std::move(state)) {}
BpfObject::BpfObject(BpfObject&&) noexcept = default;
BpfObject& BpfObject::operator=(BpfObject&&) noexcept = default;
BpfObject::~BpfObject() = default;

absl::StatusOr<BpfObject> BpfObject::Open(const std::string& name, const std::string& path) {
  SilenceLibbpf();
  if (access(path.c_str(), R_OK) != 0) {
    return base::ErrnoStatus(errno, fmt::format("opening object {} ({})", name, path));
  }
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  auto state = std::make_unique<State>();
  state->name = name;
  state->object.reset(bpf_object__open_file(path.c_str(), &options));
  if (state->object == nullptr) {
    return base::InvalidArgument("opening object {} ({}): not a BPF object, or truncated ({})",
                                 name, path, LibbpfError(errno));
  }
  return BpfObject(std::move(state));
}

absl::StatusOr<BpfObject> BpfObject::OpenBytes(const std::string& name,
                                               const std::vector<uint8_t>& bytes) {
  SilenceLibbpf();
  LIBBPF_OPTS(bpf_object_open_opts, options, .object_name = name.c_str());
  auto state = std::make_unique<State>();
  state->name = name;
  state->object.reset(bpf_object__open_mem(bytes.data(), bytes.size(), &options));
  if (state->object == nullptr) {
    return base::InvalidArgument("opening object {}: not a BPF object, or truncated ({})", name,
                                 LibbpfError(errno));
  }
  return BpfObject(std::move(state));
}

absl::Status BpfObject::SetSectionBytes(const std::string& section,
                                        const std::vector<uint8_t>& bytes) {
  bpf_map* map = bpf_object__find_map_by_name(state_->object.get(), section.c_str());
  if (map == nullptr) {
    return base::NotFound("setting constants of object {}: it has no section {}", state_->name,
                          section);
  }
  if (bpf_map__set_initial_value(map, bytes.data(), bytes.size()) == 0) return absl::OkStatus();
  return base::Internal("setting constants of object {}: section {} has {} bytes, {} were given",
                        state_->name, section, bpf_map__value_size(map), bytes.size());
}

absl::Status BpfObject::SetMaxEntries(const std::string& name, uint32_t max_entries) {
  bpf_map* map = bpf_object__find_map_by_name(state_->object.get(), name.c_str());
  if (map == nullptr) {
    return base::NotFound("sizing map {}: object {} has none", name, state_->name);
  }
  if (bpf_map__set_max_entries(map, max_entries) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("sizing map {} of object {} to {}", name,
                                              state_->name, max_entries));
}

absl::Status BpfObject::SetAutocreate(const std::string& name, bool create) {
  bpf_map* map = bpf_object__find_map_by_name(state_->object.get(), name.c_str());
  if (map == nullptr) {
    return base::NotFound("pruning map {}: object {} has none", name, state_->name);
  }
  if (bpf_map__set_autocreate(map, create) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("pruning map {} of {}", name, state_->name));
}

absl::Status BpfObject::SetAutoload(const std::string& name, bool load) {
  bpf_program* program = bpf_object__find_program_by_name(state_->object.get(), name.c_str());
  if (program == nullptr) {
    return base::NotFound("pruning program {}: object {} has none", name, state_->name);
  }
  if (bpf_program__set_autoload(program, load) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("pruning program {} of {}", name, state_->name));
}

absl::Status BpfObject::ReuseMap(const std::string& name, int fd) {
  bpf_map* map = bpf_object__find_map_by_name(state_->object.get(), name.c_str());
  if (map == nullptr) {
    return base::NotFound("sharing map {}: object {} has none", name, state_->name);
  }
  if (bpf_map__reuse_fd(map, fd) == 0) return absl::OkStatus();
  return base::ErrnoStatus(errno, fmt::format("sharing map {} with object {}", name, state_->name));
}

absl::Status BpfObject::Load() {
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, state_->object.get()) {
    if (!bpf_program__autoload(program)) continue;
    auto& log = state_->logs[bpf_program__name(program)];
    log = std::make_unique_for_overwrite<char[]>(kLogBytes);
    log[0] = '\0';
    // With log level 0 (the default) libbpf uses the buffer only after a refusal, in a second try.
    bpf_program__set_log_buf(program, log.get(), kLogBytes);
  }
  int error = bpf_object__load(state_->object.get()) == 0 ? 0 : errno;
  absl::Status status = error == 0 ? absl::OkStatus() : ExplainFailure(error);
  state_->logs.clear();  // an object is loaded once; libbpf does not look at the buffers again
  return status;
}

// After a failure libbpf has closed everything, so the culprit is found from what it left: the one
// program with a log, or else the first map that cannot be created on its own either.
absl::Status BpfObject::ExplainFailure(int error) const {
  for (const auto& [program, buffer] : state_->logs) {
    std::string log(buffer.get(), strnlen(buffer.get(), kLogBytes));
    if (log.empty()) continue;
    if (log.size() > kKeptLogBytes) log = "[...]\n" + log.substr(log.size() - kKeptLogBytes);
    absl::Status status =
        base::FailedPrecondition("loading object {}: the verifier refused program {}: {}",
                                 state_->name, program, LastVerifierLine(log));
    base::SetVerifierLog(status, log);
    return base::At(status, "load program", state_->name + "/" + program);
  }
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, state_->object.get()) {
    if (!bpf_map__autocreate(map) || bpf_map__is_internal(map)) continue;
    auto created = BpfMap::Create({.type = bpf_map__type(map),
                                   .key_size = bpf_map__key_size(map),
                                   .value_size = bpf_map__value_size(map),
                                   .max_entries = bpf_map__max_entries(map),
                                   .map_flags = bpf_map__map_flags(map),
                                   .name = bpf_map__name(map)});
    if (!created.ok()) {
      return base::At(base::Annotate(created.status(), "loading object " + state_->name),
                      "create map", bpf_map__name(map));
    }
  }
  if (error == EPERM) {
    return base::At(absl::PermissionDeniedError(fmt::format(
                        "loading object {}: the agent needs CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON",
                        state_->name)),
                    "load object", state_->name);
  }
  return base::At(base::FailedPrecondition("loading object {}: {}", state_->name,
                                           LibbpfError(error)),
                  "load object", state_->name);
}

std::vector<std::string> BpfObject::MapNames() const {
  std::vector<std::string> names;
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, state_->object.get()) names.emplace_back(bpf_map__name(map));
  return names;
}

std::vector<std::string> BpfObject::ProgramNames() const {
  std::vector<std::string> names;
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, state_->object.get()) {
    names.emplace_back(bpf_program__name(program));
  }
  return names;
}

int BpfObject::MapFd(const std::string& name) const {
  const bpf_map* map = bpf_object__find_map_by_name(state_->object.get(), name.c_str());
  int fd = map != nullptr ? bpf_map__fd(map) : -1;
  return fd < 0 ? -1 : fd;
}

int BpfObject::ProgramFd(const std::string& name) const {
  const bpf_program* program =
      bpf_object__find_program_by_name(state_->object.get(), name.c_str());
  int fd = program != nullptr ? bpf_program__fd(program) : -1;
  return fd < 0 ? -1 : fd;
}

std::optional<std::string> MissingMap(const std::string& log) {
  const std::string before = "BPF map '", after = "' is referenced but wasn't created";
  size_t end = log.rfind(after);
  if (end == std::string::npos) return std::nullopt;
  size_t start = log.rfind(before, end);
  if (start == std::string::npos) return std::nullopt;
  start += before.size();
  return log.substr(start, end - start);
}

std::optional<int64_t> UnknownHelper(const std::string& log) {
  // The verifier's own words for it since 4.18.
  const std::string before = "invalid func unknown#";
  const size_t start = log.rfind(before);
  if (start == std::string::npos) return std::nullopt;
  const char* const digits = log.data() + start + before.size();
  int64_t helper = 0;
  if (std::from_chars(digits, log.data() + log.size(), helper).ec != std::errc()) {
    return std::nullopt;
  }
  return helper;
}

std::vector<std::string> LastVerifierLines(const std::string& log, size_t count) {
  std::vector<std::string> lines;
  size_t end = log.size();
  while (end > 0 && lines.size() < count) {
    size_t newline = log.rfind('\n', end - 1);
    size_t start = newline == std::string::npos ? 0 : newline + 1;
    std::string line = log.substr(start, end - start);
    if (!IsStatisticsLine(line)) lines.push_back(std::move(line));
    if (newline == std::string::npos) break;
    end = newline;
  }
  std::reverse(lines.begin(), lines.end());
  return lines;
}

std::string LastVerifierLine(const std::string& log) {
  const std::vector<std::string> lines = LastVerifierLines(log, 1);
  return lines.empty() ? "no reason given" : lines.front();
}

}  // namespace bonsai::kernel
