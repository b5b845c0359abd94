// SPDX-License-Identifier: Apache-2.0
#include "tests/bench/measure.h"

#include <bpf/libbpf.h>
#include <malloc.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <fstream>
#include <iterator>
#include <memory>
#include <utility>

#include "agent/base/status.h"
#include "agent/base/unique_fd.h"
#include "agent/base/worker.h"
#include "agent/reachability/liveness.h"

namespace bonsai::bench {
namespace {

using ObjectPtr = std::unique_ptr<bpf_object, decltype(&bpf_object__close)>;

int Silent(libbpf_print_level, const char*, va_list) { return 0; }

size_t MostResidentBytes() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<size_t>(usage.ru_maxrss) * 1024;
}

double SecondsOf(clockid_t clock) {
  timespec now{};
  clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

absl::StatusOr<Seconds> Measure(const std::string& path, std::vector<uint8_t> bytes,
                                Switches switches) {
  const Seconds begin{SecondsOf(CLOCK_MONOTONIC), SecondsOf(CLOCK_PROCESS_CPUTIME_ID)};
  auto worker = std::make_unique<base::Worker>();
  if (bytes.size() >= object::kBytesOfLargeObject) worker->Start();
  ASSIGN_OR_RETURN(const object::ObjectSpec object,
                   object::ReadBytes(path, std::move(bytes), worker.get()));
  ASSIGN_OR_RETURN(const reachability::Liveness liveness,
                   reachability::Analyze(object, ConstantsFor(object, switches), {}, worker.get()));
  Seconds seconds{.wall = SecondsOf(CLOCK_MONOTONIC) - begin.wall};
  worker.reset();  // the kernel counts all of a thread's time once it has ended
  seconds.cpu = SecondsOf(CLOCK_PROCESS_CPUTIME_ID) - begin.cpu;
  if (liveness.live_insns == 0) return base::Internal("analysing {}: all is dead", path);
  return seconds;
}

// Runs in the child: what it grew by goes into the pipe, nothing when the analysis failed.
[[noreturn]] void ReportGrowth(const std::string& path, std::vector<uint8_t>& bytes,
                               Switches switches, int pipe) {
  const size_t before = MostResidentBytes();
  const bool ok = Measure(path, std::move(bytes), switches).ok();
  const size_t growth = MostResidentBytes() - before;
  const bool written = ok && write(pipe, &growth, sizeof(growth)) == sizeof(growth);
  _exit(written ? 0 : 1);
}

bool IsData(const bpf_map* map) {
  const std::string name = bpf_map__name(map);
  return name.find(".rodata") != name.npos || name.find(".data") != name.npos ||
         name.find(".bss") != name.npos;
}

// Maps as small as they go, so that what is timed is the programs.
void Shrink(bpf_object* loaded) {
  bpf_map* map = nullptr;
  bpf_object__for_each_map(map, loaded) {
    const bpf_map_type type = bpf_map__type(map);
    if (IsData(map) || type == BPF_MAP_TYPE_PERF_EVENT_ARRAY) continue;
    bpf_map__set_max_entries(map, type == BPF_MAP_TYPE_RINGBUF ? 4096 : 2);
  }
}

absl::Status Prepare(bpf_object* loaded, const object::ObjectSpec& object,
                     const constants::ConstantSet& constants) {
  for (const auto& [index, bytes] : constants.sections) {
    bpf_map* map = bpf_object__find_map_by_name(loaded, object.data_sections[index].name.c_str());
    if (map == nullptr || bpf_map__set_initial_value(map, bytes.data(), bytes.size()) != 0) {
      return base::Internal("setting section {}: libbpf refuses", object.data_sections[index].name);
    }
  }
  Shrink(loaded);
  bpf_program* program = nullptr;
  bpf_object__for_each_program(program, loaded) {
    // Section names that libbpf knows no type for: the generated ones.
    if (bpf_program__type(program) == BPF_PROG_TYPE_UNSPEC) {
      bpf_program__set_type(program, BPF_PROG_TYPE_SCHED_CLS);
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Subject> ReadSubject(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return base::InvalidArgument("reading {}: cannot be opened", path);
  Subject subject{.path = path,
                  .bytes = {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()}};
  ASSIGN_OR_RETURN(subject.object, object::ReadBytes(path, subject.bytes));
  for (const object::Function& function : subject.object.functions) {
    subject.slots += function.insns.size();
  }
  return subject;
}

constants::ConstantSet ConstantsFor(const object::ObjectSpec& object, Switches switches) {
  constants::ConstantSet set = constants::Defaults(object);
  if (switches == Switches::kDefault) return set;
  for (const object::Constant& constant : object.constants) {
    if (constant.is_bool) {
      set.sections.at(constant.section)[constant.offset] = switches == Switches::kOn;
    }
  }
  return set;
}

absl::StatusOr<Seconds> VerdictSeconds(const Subject& subject, Switches switches) {
  return Measure(subject.path, subject.bytes, switches);
}

absl::StatusOr<double> ReadSeconds(const Subject& subject) {
  std::vector<uint8_t> bytes = subject.bytes;
  const double begin = SecondsOf(CLOCK_MONOTONIC);
  const auto object = object::ReadBytes(subject.path, std::move(bytes));
  const double seconds = SecondsOf(CLOCK_MONOTONIC) - begin;
  return object.ok() ? absl::StatusOr<double>(seconds) : object.status();
}

absl::StatusOr<size_t> VerdictPeakBytes(const Subject& subject, Switches switches) {
  int ends[2];
  if (pipe(ends) != 0) return base::ErrnoStatus(errno, "making a pipe");
  const base::UniqueFd reader(ends[0]);
  base::UniqueFd writer(ends[1]);
  std::vector<uint8_t> bytes = subject.bytes;
  malloc_trim(0);  // the child must not find room that this process has done with
  const pid_t child = fork();
  if (child < 0) return base::ErrnoStatus(errno, "forking");
  if (child == 0) ReportGrowth(subject.path, bytes, switches, writer.get());
  writer.reset();
  size_t growth = 0;
  const bool got = read(reader.get(), &growth, sizeof(growth)) == sizeof(growth);
  waitpid(child, nullptr, 0);
  if (!got) return base::Internal("analysing {} in a child: it failed", subject.path);
  return growth + subject.bytes.size();
}

absl::StatusOr<double> KernelLoadSeconds(const Subject& subject, Switches switches) {
  libbpf_set_print(Silent);
  const ObjectPtr loaded(bpf_object__open_file(subject.path.c_str(), nullptr), &bpf_object__close);
  if (loaded == nullptr) return base::ErrnoStatus(errno, "opening with libbpf");
  RETURN_IF_ERROR(
      Prepare(loaded.get(), subject.object, ConstantsFor(subject.object, switches)));
  const double begin = SecondsOf(CLOCK_MONOTONIC);
  if (bpf_object__load(loaded.get()) != 0) {
    return base::ErrnoStatus(errno, "loading " + subject.path);
  }
  return SecondsOf(CLOCK_MONOTONIC) - begin;
}

}  // namespace bonsai::bench
