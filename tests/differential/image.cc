// SPDX-License-Identifier: Apache-2.0
#include "tests/differential/image.h"

#include <bpf/bpf.h>

#include <cerrno>
#include <cstring>

#include "agent/base/status.h"

namespace bonsai::differential {
namespace {

constexpr size_t kLogBytes = 1 << 20;
constexpr size_t kVisitLogBytes = size_t{8} << 20;
constexpr uint8_t kLoadImm64 = BPF_LD | BPF_IMM | BPF_DW;
constexpr uint32_t kLineShift = 10;  // of bpf_line_info::line_col

bool IsJump(const bpf_insn& insn) {
  const uint8_t kind = BPF_CLASS(insn.code), op = BPF_OP(insn.code);
  return (kind == BPF_JMP || kind == BPF_JMP32) && op != BPF_CALL && op != BPF_EXIT;
}

bool IsAlwaysTaken(const bpf_insn& insn) { return IsJump(insn) && BPF_OP(insn.code) == BPF_JA; }

std::vector<bpf_line_info> OneLineEach(const std::vector<bpf_insn>& insns) {
  std::vector<bpf_line_info> lines;
  for (uint32_t slot = 0; slot < insns.size(); ++slot) {
    lines.push_back({.insn_off = slot, .file_name_off = 0, .line_off = 0,
                     .line_col = slot << kLineShift});
    if (insns[slot].code == kLoadImm64) ++slot;  // the kernel takes no record of a second half
  }
  return lines;
}

int TryLoad(const Image& image, const Probed& probed, uint32_t log_level, std::vector<char>& log) {
  const std::vector<bpf_line_info> lines = OneLineEach(probed.insns);
  std::vector<bpf_func_info> functions = image.functions;
  for (bpf_func_info& function : functions) {
    function.insn_off = static_cast<uint32_t>(probed.place[function.insn_off]);
  }
  LIBBPF_OPTS(bpf_prog_load_opts, options);
  options.expected_attach_type = image.attach;
  if (image.type == BPF_PROG_TYPE_SYSCALL) options.prog_flags = BPF_F_SLEEPABLE;  // no other kind
  options.prog_btf_fd = static_cast<uint32_t>(image.btf_fd);
  options.func_info = functions.data();
  options.func_info_cnt = static_cast<uint32_t>(functions.size());
  options.func_info_rec_size = sizeof(bpf_func_info);
  options.line_info = lines.data();
  options.line_info_cnt = static_cast<uint32_t>(lines.size());
  options.line_info_rec_size = sizeof(bpf_line_info);
  options.log_level = log_level;
  options.log_buf = log_level != 0 ? log.data() : nullptr;
  options.log_size = log_level != 0 ? static_cast<uint32_t>(log.size()) : 0;
  const int fd = bpf_prog_load(image.type, image.name.c_str(), image.license.c_str(),
                               probed.insns.data(), probed.insns.size(), &options);
  return fd < 0 ? -errno : fd;
}

absl::Status ReadBack(int fd, std::vector<bpf_insn>& insns, std::vector<bpf_line_info>& lines) {
  bpf_prog_info info{};
  uint32_t size = sizeof(info);
  if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0) {
    return base::ErrnoStatus(errno, "reading program info");
  }
  insns.resize(info.xlated_prog_len / sizeof(bpf_insn));
  lines.resize(info.nr_line_info);
  info = {};
  info.xlated_prog_len = static_cast<uint32_t>(insns.size() * sizeof(bpf_insn));
  info.xlated_prog_insns = reinterpret_cast<uintptr_t>(insns.data());
  info.nr_line_info = static_cast<uint32_t>(lines.size());
  info.line_info_rec_size = sizeof(bpf_line_info);
  info.line_info = reinterpret_cast<uintptr_t>(lines.data());
  size = sizeof(info);
  if (bpf_prog_get_info_by_fd(fd, &info, &size) != 0 || info.xlated_prog_insns == 0 ||
      info.line_info == 0) {
    return base::ErrnoStatus(errno, "reading translated instructions");
  }
  return absl::OkStatus();
}

// As Predecessors, with the call before the first instruction of what it calls.
std::vector<std::vector<size_t>> PredecessorsAndCallers(const std::vector<bpf_insn>& insns) {
  auto before = Predecessors(insns);
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    if (insns[slot].code != (BPF_JMP | BPF_CALL) || insns[slot].src_reg != BPF_PSEUDO_CALL)
      continue;
    const int64_t callee = static_cast<int64_t>(slot) + 1 + insns[slot].imm;
    if (callee >= 0 && callee < static_cast<int64_t>(insns.size())) {
      before[static_cast<size_t>(callee)].push_back(slot);
    }
  }
  return before;
}

// Jumps that are gone: reached if what must run before was, not reached if nothing before was.
void ClearUpJumps(const std::vector<bpf_insn>& insns, std::vector<Fate>& fates) {
  const auto before = PredecessorsAndCallers(insns);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t slot = 0; slot < insns.size(); ++slot) {
      if (fates[slot] != Fate::kUnclear) continue;
      // With nothing before it: the program's first instruction, or a callback's.
      bool all_dropped = !before[slot].empty(), reached = slot == 0;
      for (const size_t previous : before[slot]) {
        all_dropped &= fates[previous] == Fate::kDropped;
        const bool always = !IsJump(insns[previous]) || IsAlwaysTaken(insns[previous]);
        reached |= always && fates[previous] == Fate::kKept;
      }
      if (!all_dropped && !reached) continue;
      fates[slot] = reached ? Fate::kKept : Fate::kDropped;
      changed = true;
    }
  }
}

std::vector<Fate> FatesOf(const std::vector<bpf_insn>& insns,
                          const std::vector<bpf_line_info>& lines) {
  std::vector<Fate> fates(insns.size(), Fate::kDropped);
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    if (IsJump(insns[slot])) fates[slot] = Fate::kUnclear;
  }
  for (const bpf_line_info& line : lines) {
    const uint32_t slot = line.line_col >> kLineShift;
    if (slot < fates.size()) fates[slot] = Fate::kKept;
  }
  for (size_t slot = 0; slot + 1 < insns.size(); ++slot) {
    if (insns[slot].code == kLoadImm64) fates[slot + 1] = fates[slot];
  }
  ClearUpJumps(insns, fates);
  return fates;
}

// Instructions that a log with visits names as walked.
std::vector<bool> VisitedIn(const std::string& log, size_t places) {
  std::vector<bool> visited(places);
  for (size_t at = 0; at < log.size();) {
    size_t end = log.find('\n', at);
    if (end == std::string::npos) end = log.size();
    // "17: (bf) r1 = r2"
    size_t slot = 0, digits = at;
    while (digits < end && log[digits] >= '0' && log[digits] <= '9') {
      slot = slot * 10 + static_cast<size_t>(log[digits++] - '0');
    }
    if (digits > at && log.compare(digits, 3, ": (") == 0 && slot < places) visited[slot] = true;
    at = end + 1;
  }
  return visited;
}

}  // namespace

std::vector<std::vector<size_t>> Predecessors(const std::vector<bpf_insn>& insns) {
  std::vector<std::vector<size_t>> before(insns.size());
  const auto edge = [&](size_t from, int64_t to) {
    if (to >= 0 && to < static_cast<int64_t>(insns.size())) before[to].push_back(from);
  };
  for (size_t slot = 0; slot < insns.size(); ++slot) {
    const bpf_insn& insn = insns[slot];
    const auto next = static_cast<int64_t>(slot) + 1;
    if (insn.code == (BPF_JMP | BPF_EXIT)) continue;
    if (IsJump(insn)) edge(slot, next + (insn.code == (BPF_JMP32 | BPF_JA) ? insn.imm : insn.off));
    if (IsAlwaysTaken(insn)) continue;
    edge(slot, next);
  }
  return before;
}

absl::StatusOr<Verdict> Load(const Image& image, bool log_visits) {
  const Probed probed = PutIn(image.insns, image.probes);
  std::vector<char> log(log_visits ? kVisitLogBytes : 0);
  int fd = TryLoad(image, probed, log_visits ? 2 : 0, log);
  if (fd == -E2BIG) {  // too much to walk, and to walk it again would take seconds
    return Verdict{.log = "BPF program is too large"};
  }
  if (fd < 0 && !log_visits) {  // again, to be told why
    log.resize(kLogBytes);
    fd = TryLoad(image, probed, 1, log);
  }
  Verdict verdict;
  if (!log.empty()) verdict.log = log.data();
  if (fd < 0) {
    if (fd == -EAGAIN || fd == -ENOMEM || verdict.log.empty()) {
      return base::ErrnoStatus(-fd, "loading " + image.name);
    }
    return verdict;
  }
  verdict.fd.reset(fd);
  std::vector<bpf_line_info> left;
  RETURN_IF_ERROR(ReadBack(fd, verdict.translated, left));
  const std::vector<Fate> fates = FatesOf(probed.insns, left);
  const std::vector<bool> visited = VisitedIn(verdict.log, probed.insns.size());
  for (const size_t place : probed.place) {
    verdict.fates.push_back(fates[place]);
    verdict.visited.push_back(visited[place]);
  }
  for (const size_t answer : probed.answers)
    verdict.answers.push_back(fates[answer] == Fate::kKept);
  return verdict;
}

}  // namespace bonsai::differential
