// SPDX-License-Identifier: Apache-2.0
#include "tests/support/syscall_gate.h"

#include <gtest/gtest.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>
#include <utility>

namespace bonsai::testing {
namespace {

constexpr size_t kMostCalls = 32;

int InstallFilter(const std::vector<int>& numbers) {
  sock_filter code[kMostCalls + 3];
  size_t length = 0;
  code[length++] = BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(seccomp_data, nr));
  for (size_t i = 0; i < numbers.size(); ++i) {
    const auto jump = static_cast<uint8_t>(numbers.size() - i);
    code[length++] = BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, static_cast<uint32_t>(numbers[i]), jump, 0);
  }
  code[length++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
  code[length++] = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF);
  const sock_fprog program = {static_cast<uint16_t>(length), code};
  return static_cast<int>(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER,
                                  SECCOMP_FILTER_FLAG_NEW_LISTENER, &program));
}

// One descriptor over a socket, with one byte.
struct FdMessage {
  FdMessage() {
    message.msg_iov = &part;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof(control);
  }
  char byte = 0;
  iovec part = {&byte, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
};

}  // namespace

SyscallGate::SyscallGate(std::vector<int> numbers) : numbers_(std::move(numbers)) {
  EXPECT_LE(numbers_.size(), kMostCalls);
  int ends[2] = {-1, -1};
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
  here_.reset(ends[0]);
  there_.reset(ends[1]);
  thread_ = std::jthread([this](std::stop_token stop) { Serve(stop); });
}

SyscallGate::~SyscallGate() {
  thread_.request_stop();
  thread_.join();
}

bool SyscallGate::InChild() const {
  const int listener = InstallFilter(numbers_);
  if (listener < 0) return false;
  FdMessage out;
  cmsghdr* header = CMSG_FIRSTHDR(&out.message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  std::memcpy(CMSG_DATA(header), &listener, sizeof(listener));
  const bool sent = sendmsg(there_.get(), &out.message, 0) == 1;
  close(listener);
  return sent;
}

void SyscallGate::SetJudge(Judge judge) {
  std::lock_guard lock(mutex_);
  judge_ = std::move(judge);
}

base::UniqueFd SyscallGate::ReceiveListener() const {
  FdMessage in;
  base::UniqueFd fd;
  if (recvmsg(here_.get(), &in.message, MSG_CMSG_CLOEXEC) != 1) return fd;
  const cmsghdr* header = CMSG_FIRSTHDR(&in.message);
  int listener = -1;
  if (header != nullptr) std::memcpy(&listener, CMSG_DATA(header), sizeof(listener));
  fd.reset(listener);
  return fd;
}

void SyscallGate::Serve(std::stop_token stop) {
  std::vector<base::UniqueFd> listeners;
  while (!stop.stop_requested()) {
    std::vector<pollfd> polled{{here_.get(), POLLIN, 0}};
    for (const auto& listener : listeners) polled.push_back({listener.get(), POLLIN, 0});
    if (poll(polled.data(), polled.size(), 20) <= 0) continue;
    for (size_t i = polled.size(); i-- > 1;) {
      if (polled[i].revents & POLLIN) {
        Answer(polled[i].fd);
      } else if (polled[i].revents != 0) {  // the child has ended
        listeners.erase(listeners.begin() + static_cast<std::ptrdiff_t>(i) - 1);
      }
    }
    if (polled[0].revents & POLLIN) listeners.push_back(ReceiveListener());
  }
}

void SyscallGate::Answer(int listener) {
  seccomp_notif notice = {};
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &notice) != 0) return;  // killed meanwhile
  Call call{.thread = static_cast<pid_t>(notice.pid), .number = notice.data.nr};
  std::memcpy(call.args, notice.data.args, sizeof(call.args));
  int error = 0;
  {
    std::lock_guard lock(mutex_);
    if (judge_) error = judge_(call);
  }
  seccomp_notif_resp answer = {.id = notice.id, .val = 0, .error = -error, .flags = 0};
  if (error == 0) answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  // ENOENT: the child was killed while it waited.
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT) {
    ADD_FAILURE() << "answering " << Describe(call) << ": " << strerror(errno);
  }
}

std::vector<int> BpfStateCalls() {
  std::vector<int> calls = {SYS_bpf,       SYS_mkdirat,  SYS_renameat,
                            SYS_renameat2, SYS_unlinkat, SYS_membarrier};
#ifdef SYS_rename  // not on every architecture
  for (int call : {SYS_mkdir, SYS_rename, SYS_unlink, SYS_rmdir}) calls.push_back(call);
#endif
  return calls;
}

int BpfCommand(const SyscallGate::Call& call) {
  return call.number == SYS_bpf ? static_cast<int>(call.args[0]) : -1;
}

std::string Describe(const SyscallGate::Call& call) {
  static constexpr std::pair<int, const char*> kNames[] = {
      {SYS_mkdirat, "mkdirat"},   {SYS_renameat, "renameat"},     {SYS_renameat2, "renameat2"},
      {SYS_unlinkat, "unlinkat"}, {SYS_membarrier, "membarrier"},
#ifdef SYS_rename
      {SYS_mkdir, "mkdir"},       {SYS_rename, "rename"},         {SYS_unlink, "unlink"},
      {SYS_rmdir, "rmdir"},
#endif
  };
  for (const auto& [number, name] : kNames) {
    if (number == call.number) return name;
  }
  if (call.number == SYS_bpf) return "bpf(" + std::to_string(call.args[0]) + ")";
  return "system call " + std::to_string(call.number);
}

}  // namespace bonsai::testing
