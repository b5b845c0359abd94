// SPDX-License-Identifier: Apache-2.0
#include "tests/kernels/machine.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <sstream>
#include <thread>

#include "tests/support/netns.h"

namespace bonsai::testing {
namespace fs = std::filesystem;
namespace {

std::string ReadAll(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  EXPECT_TRUE(file) << path;
  std::stringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

// One member of a cpio archive: header of hexadecimal fields, name, content; both padded to 4.
std::string Member(uint32_t number, uint32_t mode, const std::string& name,
                   const std::string& bytes) {
  const auto pad = [](std::string& text) { text.resize((text.size() + 3) / 4 * 4, '\0'); };
  std::string member = "070701";
  const uint32_t fields[] = {number, mode, 0, 0, 1, 0, static_cast<uint32_t>(bytes.size()),
                             0, 0, 0, 0, static_cast<uint32_t>(name.size() + 1), 0};
  for (uint32_t field : fields) member += fmt::format("{:08x}", field);
  member += name;
  member += '\0';
  pad(member);
  member += bytes;
  pad(member);
  return member;
}

std::vector<std::string> Command(const fs::path& kernel, const fs::path& disk) {
  return {"qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none",
          "-accel", "tcg", "-cpu", "max", "-smp", "1", "-m", "1024",
          "-serial", "stdio", "-no-reboot", "-kernel", kernel, "-initrd", disk,
          "-append", "console=ttyS0 quiet loglevel=1 panic=-1 mitigations=off"};
}

pid_t Start(const std::vector<std::string>& words, const fs::path& output) {
  std::vector<char*> argv;
  for (const std::string& word : words) argv.push_back(const_cast<char*>(word.c_str()));
  argv.push_back(nullptr);
  const pid_t child = fork();
  if (child != 0) return child;
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(output.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  dup2(in, STDIN_FILENO);
  dup2(out, STDOUT_FILENO);
  dup2(out, STDERR_FILENO);
  execvp(argv[0], argv.data());
  _exit(127);
}

void WaitOrKill(pid_t machine, int timeout_seconds) {
  for (int tenths = timeout_seconds * 10; tenths > 0; --tenths) {
    if (waitpid(machine, nullptr, WNOHANG) == machine) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
  kill(machine, SIGKILL);
  waitpid(machine, nullptr, 0);
}

void Parse(BootResult& result) {
  std::istringstream lines(result.console);
  for (std::string line; std::getline(lines, line);) {
    while (!line.empty() && line.back() == '\r') line.pop_back();
    std::istringstream words(line);
    std::string what, command;
    int code = 0;
    words >> what;
    if (what == "KERNEL") words >> result.release;
    if (what == "EXIT" && words >> code && std::getline(words >> std::ws, command)) {
      result.exit_codes[command] = code;
    }
    result.done |= line == "DONE";
  }
}

}  // namespace

void MemoryDisk::Add(const fs::path& as, const std::string& bytes, bool executable) {
  files_[as.relative_path()] = {bytes, executable};
  for (fs::path folder = as.relative_path().parent_path(); !folder.empty();
       folder = folder.parent_path()) {
    folders_.insert(folder);
  }
}

void MemoryDisk::AddFile(const fs::path& file, const fs::path& as) {
  Add(as, ReadAll(file), access(file.c_str(), X_OK) == 0);
}

void MemoryDisk::AddText(const std::string& text, const fs::path& as) { Add(as, text, false); }

void MemoryDisk::AddProgram(const fs::path& program) {
  AddFile(program, program);
  const CommandResult libraries = Shell("ldd " + program.string());
  EXPECT_EQ(libraries.exit_code, 0) << libraries.output;
  std::istringstream words(libraries.output);
  for (std::string word; words >> word;) {
    if (word[0] == '/' && fs::exists(word)) AddFile(word, word);
  }
}

void MemoryDisk::Write(const fs::path& to) const {
  std::ofstream out(to, std::ios::binary | std::ios::trunc);
  uint32_t number = 1;
  for (const fs::path& folder : folders_) out << Member(number++, 0040755, folder, "");
  for (const auto& [name, file] : files_) {
    out << Member(number++, file.second ? 0100755 : 0100644, name, file.first);
  }
  out << Member(0, 0, "TRAILER!!!", "");
  out.flush();
  EXPECT_TRUE(out) << to;
}

BootResult Boot(const fs::path& kernel, MemoryDisk disk, const std::vector<std::string>& commands,
                int timeout_seconds) {
  std::string text;
  for (const std::string& command : commands) text += command + "\n";
  disk.AddText(text, "/commands");
  const fs::path folder = fs::temp_directory_path() / fmt::format("bonsai-boot-{}", getpid());
  fs::create_directory(folder);
  disk.Write(folder / "disk");
  BootResult result;
  const auto start = std::chrono::steady_clock::now();
  const pid_t machine = Start(Command(kernel, folder / "disk"), folder / "console");
  EXPECT_GT(machine, 0);
  if (machine > 0) WaitOrKill(machine, timeout_seconds);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  result.console = ReadAll(folder / "console");
  fs::remove_all(folder);
  Parse(result);
  return result;
}

}  // namespace bonsai::testing
